"""What a verification message looks like to a person, in the languages the providers offer."""

from __future__ import annotations

from typing import Final

_SENTENCES: Final[dict[str, str]] = {
    "af": "Jou verifikasiekode is {code}",
    "ar": "رمز التحقق الخاص بك هو {code}",
    "de": "Ihr Bestätigungscode lautet {code}",
    "en": "Your verification code is {code}",
    "es": "Su código de verificación es {code}",
    "fr": "Votre code de vérification est {code}",
    "id": "Kode verifikasi Anda adalah {code}",
    "it": "Il tuo codice di verifica è {code}",
    "nl": "Je verificatiecode is {code}",
    "pl": "Twój kod weryfikacyjny to {code}",
    "pt": "Seu código de verificação é {code}",
    "ru": "Ваш код подтверждения: {code}",
    "tr": "Doğrulama kodunuz: {code}",
    "vi": "Mã xác minh của bạn là {code}",
    "zh": "您的验证码是 {code}",
    "zh_HK": "您的驗證碼是 {code}",
}


def text(language: str, code: str, *, brand: str | None = None, signature: str | None = None) -> str:
    """The written message; ``language`` is a provider's tag, unknown ones read English."""
    sentence = _SENTENCES.get(language) or _SENTENCES.get(language.partition("_")[0]) or _SENTENCES["en"]
    written = sentence.format(code=code)
    if brand:
        written = f"{brand}: {written}"
    return f"【{signature}】{written}" if signature else written


def speech(language: str, code: str) -> str:
    """The spoken message: digit by digit."""
    return text(language, ", ".join(code))
