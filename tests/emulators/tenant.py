"""A realistic tenant of any size, the same for the same seed: people of many languages in a manager tree, guests,
disabled accounts, and overlapping groups of which most are assigned to the application. It also holds
the departments, offices and companies, which the ServiceNow emulator seeds as records. It speaks
to a tenant only through its Python API.
"""

# ruff: noqa: RUF001 - names in other scripts are the point
from __future__ import annotations

import gc
import random
import unicodedata
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulators.graph.state import Tenant


@dataclass(frozen=True, slots=True)
class Office:
    name: str
    street: str
    city: str
    state: str | None
    postal_code: str
    country: str
    country_code: str
    language: str
    dial: str


COMPANIES = ("Contoso Ltd.", "Contoso Europe B.V.", "Fabrikam Logistics GmbH")
DEPARTMENTS = (
    "Accounting",
    "Business Development",
    "Communications",
    "Corporate Strategy",
    "Customer Success",
    "Data & Analytics",
    "Design",
    "Engineering",
    "Facilities",
    "Finance",
    "Human Resources",
    "Information Security",
    "Information Technology",
    "Internal Audit",
    "Legal",
    "Logistics",
    "Manufacturing",
    "Marketing",
    "Operations",
    "Procurement",
    "Product Management",
    "Quality Assurance",
    "Research & Development",
    "Sales",
    "Service Desk",
)
OFFICES = (
    Office("Amsterdam", "Gustav Mahlerlaan 2970", "Amsterdam", None, "1081 LA", "Netherlands", "NL", "nl-NL", "+31 20"),
    Office("Athens", "Leoforos Kifisias 44", "Marousi", None, "151 25", "Greece", "GR", "el-GR", "+30 210"),
    Office("Berlin", "Unter den Linden 17", "Berlin", None, "10117", "Germany", "DE", "de-DE", "+49 30"),
    Office("Cairo", "Corniche El Nil 1189", "Cairo", None, "11221", "Egypt", "EG", "ar-EG", "+20 2"),
    Office("Chicago", "200 East Randolph Street", "Chicago", "IL", "60601", "United States", "US", "en-US", "+1 312"),
    Office(
        "Dublin", "70 Sir John Rogerson's Quay", "Dublin", "Leinster", "D02 R296", "Ireland", "IE", "en-IE", "+353 1"
    ),
    Office("Kyiv", "Khreshchatyk 14", "Kyiv", None, "01001", "Ukraine", "UA", "uk-UA", "+380 44"),
    Office("London", "2 Kingdom Street", "London", None, "W2 6BD", "United Kingdom", "GB", "en-GB", "+44 20"),
    Office(
        "Paris",
        "39 quai du Président Roosevelt",
        "Issy-les-Moulineaux",
        None,
        "92130",
        "France",
        "FR",
        "fr-FR",
        "+33 1",
    ),
    Office("Redmond", "1 Microsoft Way", "Redmond", "WA", "98052", "United States", "US", "en-US", "+1 425"),
    Office("São Paulo", "Avenida Paulista 1374", "São Paulo", "SP", "01310-100", "Brazil", "BR", "pt-BR", "+55 11"),
    Office("Tokyo", "2-16-3 Konan", "Minato-ku", "Tokyo", "108-0075", "Japan", "JP", "ja-JP", "+81 3"),
)
# The second element is how the name is written in the display name, where the script is not Latin.
_PEOPLE: dict[str, tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {
    "ja-JP": (
        (("Haruto", "陽翔"), ("Yui", "結衣"), ("Sakura", "さくら"), ("Kenji", "健二"), ("Aoi", "葵")),
        (("Sato", "佐藤"), ("Suzuki", "鈴木"), ("Takahashi", "高橋"), ("Tanaka", "田中"), ("Watanabe", "渡辺")),
    ),
    "ar-EG": (
        (("Amira", "أميرة"), ("Omar", "عمر"), ("Layla", "ليلى"), ("Youssef", "يوسف"), ("Mariam", "مريم")),
        (("Hassan", "حسن"), ("El-Sayed", "السيد"), ("Mansour", "منصور"), ("Farouk", "فاروق"), ("Nasser", "ناصر")),
    ),
    "uk-UA": (
        (("Olena", "Олена"), ("Andrii", "Андрій"), ("Oksana", "Оксана"), ("Taras", "Тарас"), ("Yuliia", "Юлія")),
        (("Shevchenko", "Шевченко"), ("Kovalenko", "Коваленко"), ("Bondar", "Бондар"), ("Melnyk", "Мельник")),
    ),
    "el-GR": (
        (("Eleni", "Ελένη"), ("Giorgos", "Γιώργος"), ("Katerina", "Κατερίνα"), ("Nikos", "Νίκος")),
        (("Papadopoulos", "Παπαδόπουλος"), ("Georgiou", "Γεωργίου"), ("Nikolaidis", "Νικολαΐδης")),
    ),
}
_GIVEN = """Ada Ahmet Ángel Anaïs Anna Åsa Björn Błażej Carlos Chloé Daniel David Elif Emma Fatima François Grace Gülşen
Hélène Ingrid Jack James Jürgen José Karin Lars Liam Lucía Łukasz Maria Märta Mateo Megan Mia Michael Nadia Niamh
Noah Nuño Oliver Olivia Örjan Patrick Priya Raphaël Renée Robert Sara Sean Siobhán Sofía Søren Thomas Tomáš Ümit
Valérie Wei William Zoë Željko""".split()  # noqa: SIM905 - a list of sixty quoted names reads worse
_FAMILY = """Andersson Bakker Becker Brown Çelik Chen Clark Davies De_Vries Dubois Dvořák Evans Fernández Fischer
Garcia García-Márquez Gonçalves Green Hansen Hughes Ibrahim Jensen Johansson Jones Kowalski Köhler
Lefèvre Lewis Lindström Martin Meyer Müller Muñoz Nguyen Nielsen Novák O'Brien O'Connor Okafor Patel
Peña Petrov Robinson Rossi Sánchez Schäfer Schmidt Silva Singh Smith Taylor Walker Wang Weber Wiśniewski
Wright Yılmaz Åkesson Øster""".split()  # noqa: SIM905 - as above
COST_CENTERS = tuple(f"CC-{4000 + number * 10}" for number in range(len(DEPARTMENTS)))
_TITLES = (
    "Analyst",
    "Architect",
    "Assistant",
    "Consultant",
    "Coordinator",
    "Engineer",
    "Partner",
    "Planner",
    "Specialist",
    "Technician",
)
_RANKS = (
    "Chief Executive Officer",
    "Executive Vice President",
    "Vice President",
    "Director",
    "Senior Manager",
    "Manager",
)
_PARTNERS = ("fabrikam.com", "adatum.com", "northwindtraders.com", "tailspintoys.example")
# One of each sort that has broken a provisioning run somewhere: given name, family name, display name, UPN's alias.
_PECULIAR = (
    ("Siobhán", "O'Brien", "Siobhán O'Brien", "siobhan.o'brien"),
    (
        "Maximiliana-Alexandrina",
        "von Hohenstein-Wittelsbach zu Löwenberg",
        "Maximiliana-Alexandrina von Hohenstein-Wittelsbach zu Löwenberg",
        "maximiliana-alexandrina.vonhohenstein-wittelsbachzuloewenberg",
    ),
    ("Kenji", "Watanabe", "渡辺 健二", "kenji.watanabe"),
    ("Layla", "Mansour", "ليلى منصور", "layla.mansour"),
    ("Taras", "Shevchenko", "Тарас Шевченко", "taras.shevchenko"),
    ("Eleni", "Papadopoulos", "Ελένη Παπαδοπούλου", "eleni.papadopoulos"),
    ("Łukasz", "Wiśniewski", "Łukasz Wiśniewski", "lukasz.wisniewski"),
    ("Zoë", "Gonçalves", "Zoë Gonçalves, PhD (she/her)", "zoe.goncalves"),
)
_LEVELS = 7
_LIGATURES = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ı": "i", "ß": "ss", "æ": "ae"})


def seed(
    tenant: Tenant,
    *,
    users: int = 1000,
    groups: int = 20,
    seed: int = 1,
    assigned: float = 0.85,
    guests: float = 0.04,
    disabled: float = 0.03,
) -> None:
    """Add people and groups to the tenant; `assigned` is the share of users in the application's scope."""
    # Two streams: ids out of one would otherwise repeat the bits of the other's.
    tenant.random.seed(f"directory {seed}")
    randomness = random.Random(f"people {seed}")
    # Millions of new objects and no garbage: the collector would double the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        people = _Population(tenant, randomness, guests=guests, disabled=disabled)
        _add_groups(tenant, randomness, people.add(users), groups, assigned)
    finally:
        if collecting:
            gc.enable()


class _Population:
    def __init__(self, tenant: Tenant, randomness: random.Random, *, guests: float, disabled: float) -> None:
        self._tenant = tenant
        self._random = randomness
        self._guests = guests
        self._disabled = disabled
        self._aliases: dict[str, int] = {}

    def add(self, count: int) -> list[str]:
        """A tree of `_LEVELS` levels with one root; people sit mostly where their manager sits."""
        levels: list[list[tuple[str, str, Office, str]]] = []
        number = 0
        for size in _level_sizes(count):
            current = []
            for _ in range(size):
                boss = self._random.choice(levels[-1]) if levels else None
                current.append(self._hire(number, len(levels), boss))
                number += 1
            levels.append(current)
        return [person[0] for level in levels for person in level]

    def _hire(self, number: int, level: int, boss: tuple[str, str, Office, str] | None) -> tuple[str, str, Office, str]:
        department = boss[1] if boss is not None and level > 4 else DEPARTMENTS[(number * 7) % len(DEPARTMENTS)]
        office = boss[2] if boss is not None and self._random.random() < 0.7 else self._random.choice(OFFICES)
        company = boss[3] if boss is not None and level > 1 else COMPANIES[number % len(COMPANIES)]
        user_id = _guid(self._random)
        person = self._person(number, office)
        is_guest = level > 2 and self._random.random() < self._guests
        # The last one is a guest in every tenant that has room for one.
        is_guest = is_guest or (number == len(_PECULIAR) + 1)
        attributes = self._account(person, is_guest=is_guest)
        if not is_guest:
            attributes |= self._employment(number, level, department, office, company)
        is_disabled = number == len(_PECULIAR) + 2 or (level > 3 and self._random.random() < self._disabled)
        self._tenant.add_user(id=user_id, accountEnabled=not is_disabled, **attributes)
        if boss is not None:
            self._tenant.set_manager(user_id, boss[0])
        return user_id, department, office, company

    def _person(self, number: int, office: Office) -> tuple[str, str, str, str]:
        """Given name, family name, display name, and the alias of mail and UPN."""
        if 1 <= number <= len(_PECULIAR):
            given, family, display, alias = _PECULIAR[number - 1]
        elif office.language in _PEOPLE and self._random.random() < 0.8:
            firsts, lasts = _PEOPLE[office.language]
            (given, written), (family, surname) = self._random.choice(firsts), self._random.choice(lasts)
            display = f"{surname} {written}" if office.language == "ja-JP" else f"{written} {surname}"
            alias = f"{_plain(given)}.{_plain(family)}"
        else:
            given = self._random.choice(_GIVEN)
            family = self._random.choice(_FAMILY).replace("_", " ")
            display = f"{given} {family}"
            alias = f"{_plain(given)}.{_plain(family)}"
        used = self._aliases.get(alias, 0)
        self._aliases[alias] = used + 1
        return given, family, display, f"{alias}{used + 1}" if used else alias

    def _account(self, person: tuple[str, str, str, str], *, is_guest: bool) -> dict[str, Any]:
        given, family, display, alias = person
        domain = self._tenant.domain
        if is_guest:
            partner = self._random.choice(_PARTNERS)
            initial = f"{domain.partition('.')[0]}.onmicrosoft.com"
            return {
                "displayName": f"{display} (Guest)",
                "userPrincipalName": f"{alias}_{partner}#EXT#@{initial}",
                "mail": f"{alias}@{partner}",
                "mailNickname": f"{alias}_{partner}#EXT#",
                "otherMails": [f"{alias}@{partner}"],
                "userType": "Guest",
                "creationType": "Invitation",
                "externalUserState": self._random.choice(("Accepted", "PendingAcceptance")),
            }
        return {
            "givenName": given,
            "surname": family,
            "displayName": display,
            "userPrincipalName": f"{alias}@{domain}",
            "mail": f"{alias}@{domain}",
            "mailNickname": alias,
            "proxyAddresses": [f"SMTP:{alias}@{domain}"],
            "userType": "Member",
        }

    def _employment(self, number: int, level: int, department: str, office: Office, company: str) -> dict[str, Any]:
        randomness = self._random
        rank = _RANKS[level] if level < len(_RANKS) else f"{department} {randomness.choice(_TITLES)}"
        title = rank if level in {0, len(_RANKS)} or level >= len(_RANKS) else f"{rank} {department}"
        digits = randomness.randrange(10_000_000)
        attributes: dict[str, Any] = {
            "jobTitle": title,
            "department": department,
            "companyName": company,
            "officeLocation": office.name,
            "streetAddress": office.street,
            "city": office.city,
            "postalCode": office.postal_code,
            "country": office.country,
            "usageLocation": office.country_code,
            "preferredLanguage": office.language,
            "employeeId": f"E{100000 + number}",
            "employeeType": "Contractor" if randomness.random() < 0.1 else "Employee",
            "employeeOrgData": {
                "costCenter": COST_CENTERS[DEPARTMENTS.index(department)],
                "division": company.partition(" ")[0],
            },
            "employeeHireDate": f"{randomness.randrange(2005, 2026)}-{randomness.randrange(1, 13):02}-01T00:00:00Z",
            "businessPhones": [f"{office.dial} {digits // 10000:03} {digits % 10000:04}"],
            "onPremisesExtensionAttributes": {
                "extensionAttribute1": f"{office.country_code}-{number % 97:02}",
                "extensionAttribute2": randomness.choice(("remote", "hybrid", "onsite")),
            },
        }
        if office.state is not None:
            attributes["state"] = office.state
        if randomness.random() < 0.6:
            attributes["mobilePhone"] = f"{office.dial.split()[0]} 6 {randomness.randrange(10_000_000):08}"
        if randomness.random() < 0.1:
            attributes["faxNumber"] = f"{office.dial} {digits % 10_000_000:07}"
        if randomness.random() < 0.5:
            attributes |= {
                "onPremisesSyncEnabled": True,
                "onPremisesSamAccountName": f"u{100000 + number}",
                "onPremisesDomainName": "corp.contoso.com",
                "onPremisesImmutableId": f"{number:022}==",
            }
        return attributes


def _add_groups(tenant: Tenant, randomness: random.Random, users: list[str], count: int, assigned: float) -> None:
    """Most groups are assigned. Users in scope sit in one to three of them or are assigned themselves."""
    in_scope = randomness.sample(users, round(len(users) * assigned))
    everyone_else = sorted(set(users) - set(in_scope))
    names = _group_names(randomness, count)
    groups = [_add_group(tenant, randomness, name, number) for number, name in enumerate(names)]
    cut = min(len(groups), max(1, round(count * 0.7))) if groups else 0
    granted, other = groups[:cut], groups[cut:]
    for group_id in granted:
        tenant.assign(group_id)
    for position, user_id in enumerate(in_scope):
        if not granted or position % 40 == 7:
            tenant.assign(user_id)
            if position % 80 == 7 or not granted:
                continue
        # The first group is a big one, as "all employees" is in most tenants.
        chosen = {granted[0]} if randomness.random() < 0.3 else set()
        chosen |= set(randomness.choices(granted, k=randomness.choice((1, 1, 2, 3))))
        for group_id in sorted(chosen):
            tenant.add_member(group_id, user_id)
    for user_id in everyone_else if other else ():
        for group_id in sorted(set(randomness.choices(other, k=randomness.choice((0, 1, 2))))):
            tenant.add_member(group_id, user_id)
    for user_id in in_scope[::3] if other else ():
        tenant.add_member(randomness.choice(other), user_id)
    # Nested groups: their members are not in scope through the outer group.
    for outer, inner in zip(granted[1::5], other, strict=False):
        tenant.add_member(outer, inner)


def _add_group(tenant: Tenant, randomness: random.Random, name: str, number: int) -> str:
    nickname = _plain(name).replace(" ", "-")
    attributes: dict[str, Any] = {"mailNickname": nickname}
    if number % 5 == 4:
        attributes |= {
            "groupTypes": ["Unified"],
            "mail": f"{nickname}@{tenant.domain}",
            "visibility": randomness.choice(("Private", "Public")),
        }
    if number % 3:
        attributes["description"] = f"Members of {name}"
    return tenant.add_group(id=_guid(randomness), displayName=name, **attributes)


def _group_names(randomness: random.Random, count: int) -> list[str]:
    fixed = ["ServiceNow Users", "ServiceNow ITIL", "ServiceNow Approvers", "Équipe Réseau", "東京サービスデスク"]
    combined = [f"{department} {office.name}" for department in DEPARTMENTS for office in OFFICES]
    randomness.shuffle(combined)
    names = fixed + combined
    return [names[i] if i < len(names) else f"{names[i % len(names)]} {i // len(names) + 1}" for i in range(count)]


def _level_sizes(count: int) -> list[int]:
    """Sizes of the levels, each larger than the one above by the same factor; the last takes the rest."""
    if count <= _LEVELS:
        return [1] * count
    low, high = 1.0, float(count)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(middle**level for level in range(_LEVELS)) < count else (low, middle)
    sizes = [max(1, int(low**level)) for level in range(_LEVELS - 1)]
    return [*sizes, count - sum(sizes)]


def _guid(randomness: random.Random) -> str:
    return str(uuid.UUID(int=randomness.getrandbits(128), version=4))


def _plain(name: str) -> str:
    """ASCII, lower case, no spaces: how an administrator writes a name into a UPN."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    return "".join(letter for letter in decomposed if letter.isascii() and (letter.isalnum() or letter in "-'")).lower()
