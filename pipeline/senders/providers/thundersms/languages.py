"""Languages of spoken text as ThunderSMS writes them: ``en_US``."""

from __future__ import annotations

from typing import Final

_LIKELY: Final = (
    "af_ZA ar_EG bg_BG bn_BD ca_ES cs_CZ da_DK de_DE el_GR en_US es_ES et_EE fa_IR fi_FI fil_PH fr_FR gu_IN he_IL "
    "hi_IN hr_HR hu_HU id_ID is_IS it_IT ja_JP kn_IN ko_KR lt_LT lv_LV ml_IN mr_IN ms_MY nb_NO nl_NL pa_IN pl_PL pt_BR "
    "ro_RO ru_RU sk_SK sl_SI sr_RS sv_SE sw_KE ta_IN te_IN th_TH tr_TR uk_UA ur_PK vi_VN zh_CN zu_ZA"
)
_REGION: Final = dict(tag.split("_") for tag in _LIKELY.split()) | {"zh-hant": "TW", "pa-arab": "PK"}
"""The likeliest region of a language, or a script of it, without one (Unicode CLDR): the published form names both."""


def spoken(tag: str) -> str:
    """A BCP-47 tag as language and region, without script and variants; a region is added where one is likely."""
    language, *parts = tag.replace("_", "-").lower().split("-")
    # Three digits are a region, four a variant.
    region = next((part.upper() for part in parts if len(part) == 2 or (len(part) == 3 and part.isdigit())), None)
    region = region or _REGION.get("-".join((language, *parts[:1]))) or _REGION.get(language)
    return f"{language}_{region}" if region else language
