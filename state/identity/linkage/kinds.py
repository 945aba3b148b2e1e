"""The kinds of things said of people that linkage compares, and which kind a column of a file holds.

The name of a column decides where it is telling; else its values do. Keys of rows are never evidence: two rows that
bear the same number in two files are not the same person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from millstream.state.identity.linkage.guessing import DATE, guess_kinds, share
from millstream.state.identity.linkage.spelling import is_sex

Kind = Literal[
    "first_name", "middle_name", "last_name", "full_name", "suffix", "sex",
    "birth_date", "birth_year", "birth_month", "birth_day",
    "email", "phone", "national_id",
    "address", "street", "house_number", "postcode", "city", "region",
    "source", "other", "ignore",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

# Words of column names, folded, without spaces. What stands first wins.
_NAMES: tuple[tuple[Kind, str], ...] = (
    ("email", r"e?mails?(addr(ess)?|adresse?)?\d?|.*email.*|correo(electronico)?|courriel|epost|почта|邮箱"
              r"|электроннаяпочта|ηλεκτρονικηδιευθυνση"),
    ("phone", r".*phone.*|.*telefon.*|tel|tel(no|nr|number|ephone)|(home|work|day|evening)tel\w*|tel\d"
              r"|contact(no|nr|number|tel)|mobile?(no|nr|number|num)?|cell(ular)?(no|number)?"
              r"|handy(nummer)?|movil|portable|cellulare|msisdn|gsm|телефон.*|dienthoai|sodienthoai|telemovel|celular|τηλεφωνο|κινητο|电话|手机.*|komorka"),
    ("full_name", r"(full|complete|display|contact|customer|person|patient|client|whole|member|employee|guest"
                  r"|voter)?names?|patient|person|customer|client|employee|guest|kunde|cliente|klient|firstandsurname"
                  r"|nom(bre)?complet[oe]?|nombreyapellidos|vollername|kundenname|imieinazwisko|hoten|hovaten|姓名|氏名|nomecompleto|nazwiskoiimie|imienazwisko|фио|полноеимя|ονοματεπωνυμο"),
    ("first_name", r"(first|given|fore|christian)names?\d?|per(son)?name1|f(irst)?names?(c?1)?|given|first|fname"
                   r"|vornamen?|prenoms?|nombres?|nome|imie|имя|etunimi|fornavn|fornamn|voornaam|roepnaam|keresztnev|ten|名|名字|jmeno|adi|ad\u0131|ονομα"),
    ("middle_name", r"(middle|mid|midl)(names?|init(ial)?)?|mi|mname|second(given)?name|(first|f)name?c2|отчество"
                    r"|zweitername"),
    ("last_name", r"(last|family|sur|second)names?\d?|per(son)?name2|l(ast)?names?(c?[12])?|surname|family|last|lname"
                  r"|nachnamen?|familiennamen?|nom(defamille)?|apellidos?|cognome|nazwisko|sobrenome|ho|姓|姓氏|фамилия|sukunimi|etternavn|efternamn"
                  r"|achternaam|vezeteknev|prijmeni|soyadi?|soyad\u0131|επωνυμο|επιθετο|прізвище"),
    ("birth_year", r"(birth|dob)y(ear|r)?|y(ear|r)?(of)?birth|by|yob|age(years|inyears)?|alter|geburtsjahr"
                   r"|anneenaissance|rok(urodzenia)?"),
    ("birth_month", r"(birth|dob)m(on(th)?)?|month(of)?birth|bm|mob|geburtsmonat"),
    ("birth_day", r"birthdayofmonth|(dob)d(ay)?|day(of)?birth|bd|geburtstagtag"),
    ("birth_date", r".*birth(day|date|dt|d)?|.*date.*birth.*|dobs?|dateofbirth|.*geb(urts?)?(datum|tag|dat).*"
                   r"|datedenaissance|naissance|.*nacimiento.*|.*nascita.*|dataurodzenia|.*датарождения.*|bdate|bday|geboortedatum"
                   r"|fodselsdato|fodelse(datum|dag)"
                   r"|syntymaaika|ngaysinh|出生日期|生日|dtnasc.*|.*nascimento.*|dogumtarihi|ημερομηνιαγεννησης|szuletesidatum"),
    ("national_id", r".*(social|soc)(ial)?sec.*|ssn(last)?\d?|sin|nino?|nhs(no|number|id)?|medicare.*|.*nationalid.*"
                    r"|.*national(number|insurance).*"
                    r"|passport.*|taxid|tin|pesel|bsn|cpf|dni|nif|nie|codicefiscale|steuer(id|nummer)|personnummer"
                    r"|(drivers?|driving)licen[cs]e.*|aadhaar|curp|rut|снилс|инн|idcard.*|socsecid"),
    ("suffix", r"(name)?(suffix|sufx|sfx)\w*|generation(code)?|namenszusatz"),
    ("sex", r"(sex|gender)(code|cd)?|(name)?title|salutation|anrede|(name)?prefix|civilite|geschlecht"
            r"|sexe|sexo|sesso|plec|geslacht|gioitinh|性别|пол|genero|φυλο|стать"),
    ("house_number", r"(house|street|building|home)(no|nr|num|number)|hausnummer|hausnr|huisnummer|huisnr"
                     r"|numerodecalle|civico|stno|nrdomu|address(no|nr|num|number)"),
    ("postcode", r".*post(al)?code.*|.*postcode.*|zip(code)?\d?|plz|postleitzahl|cp|codepostal|codigopostal|cap"
                 r"|kodpocztowy|индекс|postnummer|pincode|postal|postnr|cep|邮编|τκ|ταχυδρομικοςκωδικας"),
    ("city", r"(home|mail|mailing|res|residential|billing|shipping|current)?(city|town)(name|desc)?"
             r"|town|suburb|locality|place|ort|stadt|wohnort|ville|commune|comune"
             r"|ciudad|municipio|localidad|miasto|miejscowosc|город|gemeinde|plaats|citta|cidade|tinh|thanhpho|城市|posttown|kommune|woonplaats|parish|village|settlement|municipality|πολη|місто"),
    ("region", r"state|province|region|county|bundesland|departement|provincia|wojewodztwo|область|territory"
               r"|state(code|cd|abbr(ev)?)"),
    ("street", r"street(name)?\d?|strasse|str|rue|calle|via|ulica|улица|straat|road"),
    ("address", r".*addr(ess)?(line)?.*|.*adresse?|strasse.*(nr|nummer)"
                r"|anschrift|direccion|indirizzo|domicilio|адрес|adres|ender(eco|ec)|morada|diachi|住址|地址|διευθυνση|адреса"),
)  # fmt: skip
# Words in front of what a column holds that say whose it is or which of several, and words behind that say how it is
# written: customer_last_name, address_city, surname_std.
_WHOSE = frozenset(
    {"customer", "cust", "client", "patient", "pat", "person", "pers", "voter", "member", "contact", "applicant",
     "name", "address", "addr", "res", "residence", "residential", "home", "mail", "mailing", "current", "primary",
     "billing", "shipping", "main"}
)  # fmt: skip
_WRITTEN = frozenset(
    {"std", "standard", "standardized", "standardised", "norm", "normalized", "normalised", "clean", "cleaned", "orig",
     "original", "raw", "nm", "name", "cd", "code", "desc", "txt", "text", "value", "val", "fld", "field", "fake", "l",
     "r", "x", "y", "a", "b", "c"}
)  # fmt: skip
_SOURCE = re.compile(
    r"(data|record|rec)?(source|dataset|origin|quelle|fuente|herkunft|bron)(data(set)?|system|name|code|id|no|nr)?"
    r"|src|sys(tem)?(id)?|provider|datafile|filename|file(id|no|nr)?|register|registry|database|db"
)
_NAME_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _NAMES)
# Keys, bookkeeping and places on the net: never evidence.
_KEYS = re.compile(
    r"(.*_|^)(id|ids|uid|uuid|guid|key|pk|index|idx|row|rowid|recid|recordid|cluster|label|truth|entity\w*|source\w*|dataset"
    r"|file|filename|hash|created\w*|updated\w*|modified\w*|timestamp|date|batch|version|nr|number|no|num|url|ip|status)$"
    r"|^(unnamed.*|rec(ord)?(id|no|number|key|nr)|row(no|nr|num|number|id)?|id\w{0,3}|\w*uuid|\w*guid)$"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")
_PHONE = re.compile(r"[+(0][\d\s()/.+-]{7,20}")
_AGE = re.compile(r"age(years|inyears)?|alter")
_NUMBERED = re.compile(r".*\d.*")
_SAMPLE = 500
_SEX_CODES = 4


def detect_kinds(
    columns: Mapping[str, Sequence[str | None]], given: Mapping[str, str] | None = None
) -> dict[str, Kind]:
    """The kind of each column of a file about people.

    Args:
        columns: Values as text by column name.
        given: Kinds that are known; they stand.

    Returns:
        A kind for each column; ``ignore`` for what is no evidence.
    """
    given = given or {}
    found: dict[str, Kind] = {}
    for name, values in columns.items():
        kind = given.get(name)
        found[name] = _checked(name, kind) if kind is not None else _detect(name, values)
    if not {"first_name", "last_name"}.isdisjoint(found.values()):
        # 'Name' beside 'Vorname' is the surname; beside both it says nothing new.
        for name, kind in found.items():
            if kind == "full_name" and name not in given:
                both = {"first_name", "last_name"} <= set(found.values())
                found[name] = "ignore" if both else "last_name" if "last_name" not in found.values() else "first_name"
    _drop_repeated(found, given)
    guess_kinds(columns, found, [name for name in columns if name not in given and not _is_key(name)])
    return found


def _drop_repeated(found: dict[str, Kind], given: Mapping[str, str]) -> None:
    """Ignore, in place, what says again what another column says: a name in another spelling, an age beside a date."""
    for kind in ("first_name", "middle_name", "last_name"):
        columns = [name for name in found if found[name] == kind]
        plainly = [name for name in columns if name in given or _kind_of(_plain(name)) == kind]
        for name in columns:
            if name not in (plainly or columns[:1]):
                found[name] = "ignore"
    if sum(kind in ("birth_date", "birth_year") for kind in found.values()) > 1:
        for name in found:
            if _AGE.fullmatch(_plain(name)) and name not in given:
                found[name] = "ignore"


def _checked(name: str, kind: str) -> Kind:
    for known in KINDS:
        if kind == known:
            return known
    raise ValueError(f"column {name!r}: {kind!r} is none of {', '.join(KINDS)}")


def _detect(name: str, values: Sequence[str | None]) -> Kind:
    plain = _plain(name)
    present = [value.strip() for value in values if value is not None and value.strip()]
    if not present:
        return "ignore"
    named = _named(name, present)
    if named is not None:
        return _by_values(named, present)
    if _SOURCE.fullmatch(plain) and 2 <= len(set(present)) <= min(50, len(present) / 10):
        return "source"
    by_content = _of_content(present)
    if by_content is not None:
        return by_content
    return "ignore" if _is_key(name) else _other(present)


def _named(name: str, present: Sequence[str]) -> Kind | None:
    """The kind that the name of a column promises."""
    whole = _kind_of(_plain(name))
    if whole not in (None, "address", "email") or (whole == "email" and any("@" in value for value in present)):
        return whole
    # An address of mail may be one of letters, and what is called an address a part of it: addr_city, mail_addr1.
    words = [_plain(word) for word in _words(name)]
    while words:
        if words[0] in _WHOSE:
            words = words[1:]
        elif words[-1] in _WRITTEN or words[-1].isdigit():
            words = words[:-1]
        else:
            break
        if (kind := _kind_of("".join(words))) is not None and kind != "full_name":
            return kind
    return whole


def _kind_of(plain: str) -> Kind | None:
    return next((kind for kind, pattern in _NAME_PATTERNS if pattern.fullmatch(plain)), None)


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+", name)


def _is_key(name: str) -> bool:
    separated = "_".join(_words(name)).lower()
    return bool(_KEYS.match(separated) or _KEYS.match(_plain(name)))


def _by_values(kind: Kind, present: Sequence[str]) -> Kind:
    """The kind a name promises, unless the values break the promise."""
    sample = present[:_SAMPLE]
    if kind in ("email", "phone") and not any(re.search(r"[@\d]", value) for value in sample):
        return "ignore"
    if kind == "sex" and sum(1 for value in sample if is_sex(value)) < 0.6 * len(sample):
        coded = all(len(value) == 1 for value in sample)  # 1 and 2; words would be titles of jobs
        return kind if coded and len(set(sample)) <= _SEX_CODES else _other(present)
    if kind == "full_name" and share(_NUMBERED, sample) > 0.5:
        return "ignore"  # customer numbers
    if kind == "birth_day" and any(DATE.fullmatch(value) for value in sample):
        return "birth_date"
    return kind


def _of_content(present: Sequence[str]) -> Kind | None:
    sample = present[:: max(1, len(present) // _SAMPLE)][:_SAMPLE]
    if share(_EMAIL, sample) > 0.7:
        return "email"
    if share(_PHONE, sample) > 0.8 and share(DATE, sample) < 0.1 and len(set(sample)) > len(sample) / 2:
        return "phone"
    return None


def _other(present: Sequence[str]) -> Kind:
    """A column of words that repeat may tell people apart; measures, times and keys do not."""
    distinct = set(present)
    if len(distinct) < 2 or len(distinct) > 0.9 * len(present):
        return "ignore"
    worded = sum(1 for value in present if any(letter.isalpha() for letter in value))
    return "other" if worded > 0.8 * len(present) and not share(DATE, present[:_SAMPLE]) > 0.5 else "ignore"


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss").replace("ł", "l").replace("đ", "d"))
    return "".join(letter for letter in folded if letter.isalnum())
