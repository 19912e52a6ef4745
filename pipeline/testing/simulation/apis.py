"""What each provider's API does with our requests, as far as our senders use it. No more than that: the simulator and
the tables of the conformance tests know every field."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson

from pipeline.senders.mail import Mail, MailReply, Stage
from pipeline.testing.http import Answer
from pipeline.testing.simulation.far_end import FarEnd, Message, told

PLACEHOLDER = "{token}"


class YCloudEnd(FarEnd[httpx.Request]):
    def operation(self, request: httpx.Request) -> str:
        path = request.url.path
        if path.endswith("/verificationChecks"):
            return "report"
        return "send" if request.method == "POST" else "list"

    def carry_out(self, operation: str, request: httpx.Request) -> httpx.Response:
        if operation == "list":
            return told({"items": [self._item(each) for each in self.messages]})
        body = orjson.loads(request.content)
        if operation == "report":
            return told({"status": "verified"})
        taken = self.take(
            id=f"yc-{len(self.messages) + 1}",
            recipient=body["to"],
            code=body["code"],
            channels=(body["channel"],),
            reference=body["externalId"],
        )
        return told({"id": taken.id, "status": "pending"})

    def _item(self, message: Any) -> dict[str, Any]:
        status = message.status or "sent"
        return {"verificationId": message.id, "externalId": message.reference, "status": status}


class TelesignEnd(FarEnd[httpx.Request]):
    def operation(self, request: httpx.Request) -> str:
        if request.method == "POST":
            return "send"
        if request.method == "PUT":
            return "report"
        return "check" if "verify_code" in request.url.params else "lookup"

    def carry_out(self, operation: str, request: httpx.Request) -> httpx.Response:
        if operation == "send":
            return self._send(request)
        message = self.message(request.url.path.rpartition("/")[2])
        if message is None:
            return told({"errors": [{"code": -10001, "description": "x"}], "status": {"code": 500}}, 404)
        if operation == "report":
            return told({"reference_id": message.id, "status": {"code": 1900}})
        state = "UNKNOWN"
        if operation == "check":
            right = message.code == request.url.params["verify_code"] and not message.used
            message.used = message.used or right
            state = "VALID" if right else "INVALID"
        status = message.status or 290
        return told(
            {
                "reference_id": message.id,
                "sub_resource": message.channels[-1],
                "errors": [],
                "status": {"code": status},
                "verify": {"code_state": state},
            }
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        product = request.url.path.rpartition("/")[2]
        own = form.get("verify_code")
        message = self.take(
            id=f"{len(self.messages) + 1:032X}",
            recipient=f"+{form['phone_number']}",
            code=own or self.made_code(5 if product == "call" else 7),
            made=own is None,
            channels=("sms", "voice") if product == "smart" else (product,),
            callback_url=form.get("callback_url"),
        )
        status = {"code": 103 if product == "call" else 290}
        channel = "sms" if product == "smart" else product
        return told({"reference_id": message.id, "sub_resource": channel, "errors": [], "status": status})


class BirdEnd(FarEnd[httpx.Request]):
    def operation(self, request: httpx.Request) -> str:
        last = request.url.path.rpartition("/verify")[2].strip("/")
        if request.method == "GET":
            return "lookup" if last else "list"
        action = last.partition("/")[2]
        return action or ("check" if last else "send")

    def carry_out(self, operation: str, request: httpx.Request) -> httpx.Response:
        if operation == "list":
            return told({"results": [_shown_by_bird(each) for each in self.messages]})
        if operation == "send":
            body = orjson.loads(request.content)
            message = self.take(
                id=f"bird-{len(self.messages) + 1}",
                recipient=next(iter(body["identifier"].values())),
                code=self.made_code(body["codeLength"]),
                made=True,
                channels=tuple(each["channelId"] for each in body["steps"]),
            )
            return told({"id": message.id, "status": "accepted"}, 202)
        found = self.message(request.url.path.rpartition("/verify/")[2].partition("/")[0])
        if found is None:
            return told({"message": "not found"}, 404)
        if operation in ("resend", "failover"):
            if found.used or orjson.loads(request.content)["stepIndex"] >= len(found.channels):
                return told({"message": "there is nothing to send"}, 400)
            return told({"id": found.id, "status": "accepted"}, 202)
        if operation == "lookup":
            return told({"id": found.id, "status": "verified" if found.used else "accepted"})
        right = orjson.loads(request.content)["code"] == found.code and not found.used
        found.used = found.used or right
        return told({"id": found.id}) if right else told({"message": "wrong"}, 400)


def _shown_by_bird(message: Message) -> dict[str, Any]:
    identifier = {"phonenumber": message.recipient}
    return {"id": message.id, "identifier": identifier, "codeLength": len(message.code), "status": "accepted"}


class ThunderSmsEnd(FarEnd[httpx.Request]):
    def operation(self, request: httpx.Request) -> str:
        words = {"check": "check", "search": "lookup", "cancel": "cancel"}
        return "send" if request.method == "POST" else words[request.url.path.split("/verify/")[1].split("/")[0]]

    def carry_out(self, operation: str, request: httpx.Request) -> httpx.Response:
        if operation == "send":
            return self._send(orjson.loads(request.content))
        message_id, *typed = request.url.path.split("/verify/")[1].split("/")[1:]
        message = self.message(message_id)
        if message is None:
            return told({"id": message_id, "status": "failed"})
        if operation == "lookup":
            status, legs = message.status or ("sent", {message.channels[0]: "sent"})
            entries = [{"channel": name, "status": word} for name, word in legs.items()]
            return told({"id": message.id, "status": status, "channels": entries})
        if operation == "cancel":
            message.canceled = True
            return told({"id": message.id, "status": "success"})
        if message.used:
            return told({"id": message.id, "status": "OTP already verified"})
        message.used = typed == [message.code]
        return told({"id": message.id, "status": "success" if message.used else "invalid"})

    def _send(self, body: dict[str, Any]) -> httpx.Response:
        own = body["payload"].get("token")
        message = self.take(
            id=f"5a0c1f7e-2b64-4d0e-9a3b-{len(self.messages) + 1:012x}",
            recipient="+" + body["channels"][0]["recipient"]["to"],
            code=own or self.made_code(body["payload"]["length"]),
            made=own is None,
            channels=tuple(each["name"] for each in body["channels"]),
            reference=body["payload"]["foreign_id"],
        )
        return told({"id": message.id, "status": "sent", "foreign_id": message.reference})


class NeutrinoEnd(FarEnd[httpx.Request]):
    def operation(self, request: httpx.Request) -> str:
        return "send"

    def carry_out(self, operation: str, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        own = form.get("security-code")
        message = self.take(
            id=f"n-{len(self.messages) + 1}",
            recipient=form["number"],
            code=own or self.made_code(int(form["code-length"])),
            made=own is None,
            channels=(request.url.path.strip("/").partition("-")[0],),
        )
        handed_over = "sent" if message.channels == ("sms",) else "calling"
        return told({"number-valid": True, handed_over: True, "security-code": message.code})


class SmtpEnd(FarEnd[Mail]):
    def operation(self, request: Mail) -> str:
        return "send"

    def carry_out(self, operation: str, request: Mail) -> MailReply:
        mail = message_from_bytes(request.content)
        text = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
        content = text.get_payload(decode=True)
        assert isinstance(content, bytes)
        shown = content.decode()
        code = next(word.strip(".") for word in shown.split() if word.strip(".").isdigit() and len(word.strip(".")) > 3)
        self.take(
            id=str(mail["Message-ID"]), recipient=request.envelope_to, code=code, channels=("email",),
            reference=str(mail["Message-ID"]).strip("<").partition("@")[0],
        )  # fmt: skip
        return MailReply(stage=Stage.CONTENT, code=250, status="2.0.0")

    def reply(self, answer: Answer, request: Mail) -> MailReply:
        return MailReply(stage=Stage.CONTENT, code=answer.status)
