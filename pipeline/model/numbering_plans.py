"""What the compiled reader's numbering plans are, as one fingerprint per calling code.

Written by ``python -m pipeline.model.numbering_plans`` with that release of ``phonenumbers`` installed which the
release of ``rphonenumbers`` was compiled from (its ``__phonenumbers_version__``); paste what it prints.
"""

from __future__ import annotations

import hashlib
from typing import Final

import phonenumbers

_OF_REGION: Final = (
    *("id", "country_code", "international_prefix", "national_prefix", "national_prefix_for_parsing"),
    *("national_prefix_transform_rule", "leading_digits", "main_country_for_code"),
    "same_mobile_and_fixed_line_pattern",
)
_OF_LINES: Final = (
    *("general_desc", "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


def plan_fingerprint(code: int) -> str:
    """8 hex digits over all that decides how numbers of a calling code are read; how they are printed is left out.

    Of the installed ``phonenumbers``.
    """
    told: list[object] = []
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        told += [getattr(plan, name) for name in _OF_REGION]
        for name in _OF_LINES:
            lines = getattr(plan, name)
            told.append(
                lines and (lines.national_number_pattern, lines.possible_length, lines.possible_length_local_only)
            )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


def _unpacked(text: str) -> dict[int, str]:
    return {int(code): fingerprint for code, _, fingerprint in (pair.partition(":") for pair in text.split())}


COMPILED: Final[dict[str, dict[int, str]]] = {
    "9.0.41": _unpacked(
        """
        1:475e6c2e 7:fe77b996 20:5652f7c3 27:e8e2248c 30:29d74e41 31:16df946c 32:907e9cdd 33:576df02f
        34:bc170a91 36:23d84bd2 39:0cd250d6 40:d15c3d3f 41:6f93e16c 43:f7ece626 44:75a66bd9 45:7d329eb6
        46:8c72b1b8 47:af51cefd 48:8ef99c5b 49:9cb24ca5 51:4034c03e 52:69c25e2f 53:fe92dcdf 54:3d71dce1
        55:5808df0b 56:177d2e39 57:bd4908ff 58:7a4f3312 60:0ead2548 61:b1aa0206 62:c0055f85 63:bf198a16
        64:3e502218 65:4a252d63 66:9fd22c5c 81:043f2186 82:93196dbb 84:d32b9e41 86:555e25f1 90:1e04cab7
        91:1895bcfc 92:9240bc36 93:65d934eb 94:5e840260 95:774ce764 98:0df49de7 211:c80befcc 212:04921906
        213:216c18a7 216:33eefb8d 218:b8405808 220:3e2dfee0 221:4fbadcbf 222:d13f8ac6 223:7e177147 224:919ba5bb
        225:432d4b01 226:278ccc1d 227:a4f944b6 228:66c7b045 229:ccd8b205 230:446f5c3f 231:3d9fd359 232:155fbda3
        233:dcb38ee6 234:ec1a358e 235:f998e3d7 236:c47a3b01 237:e96a8538 238:e84d904b 239:2595b06b 240:6ff1cff8
        241:35823fc4 242:6fd26476 243:1bffd034 244:8df6d5be 245:a62f5133 246:2c375693 247:bd440b16 248:a4955a67
        249:ae7471b3 250:50b648e1 251:9ce46f2b 252:75e89b23 253:4ff225d8 254:20010efe 255:088d5693 256:e50859bc
        257:aa2a8ada 258:c89efbbe 260:2206245d 261:40e3a3bf 262:11b366db 263:c233b6bb 264:29652050 265:e3e66dbf
        266:909e082f 267:0fa01b6b 268:30c967c2 269:95131788 290:ccc9e193 291:28922c5f 297:a26bdae4 298:8722579e
        299:8dbbff07 350:9587c6b2 351:0d008ed4 352:17e6728b 353:ded1501d 354:23d14848 355:2d71ef4c 356:f23887f9
        357:673b804d 358:1969c257 359:dcb0efa7 370:2482cfd4 371:9bc58060 372:7e3b4b6d 373:18d5f60d 374:b0194f83
        375:19af9888 376:6f7bd9e4 377:f821e2fa 378:33a6c10f 380:99365338 381:3b9d01d4 382:f87f70fe 383:e1952e13
        385:69ad2aa8 386:191c07ab 387:9e1a1c10 389:6cd1c487 420:eb09b58c 421:373933fa 423:c904c83f 500:6d99b1b5
        501:0e8cfdcc 502:4c843e9c 503:a55a4dc0 504:fe0e0270 505:c7f1716d 506:4aee58f1 507:220a238f 508:4989018d
        509:53135471 590:58424ed7 591:4748a23b 592:3cf43694 593:6837d9b0 594:4d1e7245 595:b3696087 596:1e9c01f6
        597:c8da7cad 598:a5020636 599:77b806bc 670:4dc9955c 672:eff23c89 673:fddcd039 674:eb21c5da 675:28216525
        676:70516bb8 677:129a336a 678:b10217b4 679:4db132bb 680:4f2b116d 681:02991d8d 682:b2651ef4 683:9aba2518
        685:bf4f5082 686:f3876b5a 687:ecf711c3 688:0077dfb4 689:cd35213d 690:914fa940 691:3bfeb436 692:edfa05ec
        800:89430c12 808:c733417c 850:f19bef67 852:0a025561 853:687657eb 855:3be7c2ae 856:c4d25bf0 870:be63f71b
        878:571480e3 880:216cd048 881:967b7c06 882:fe57ac6d 883:9ed19c0a 886:4d039002 888:eac90510 960:67e22333
        961:1b43b3ff 962:dd72a29b 963:9c425e12 964:791da807 965:301fdb34 966:01b10979 967:0aad8e15 968:a501e2a8
        970:b7c109de 971:3c494b0e 972:956bc34c 973:282f1e08 974:322dce72 975:533afec1 976:eeb13961 977:db59a21f
        979:c7c5248f 992:eb722685 993:77fbae69 994:703ed67e 995:d5cb9331 996:92edb472 998:d2789b83
        """
    ),
}
"""Fingerprints by calling code, by the version of the plans."""


if __name__ == "__main__":
    pairs = [f"{code}:{plan_fingerprint(code)}" for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)]
    for start in range(0, len(pairs), 8):
        print("       ", *pairs[start : start + 8])  # noqa: T201
