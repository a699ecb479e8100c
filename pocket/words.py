"""Word pools for the synthetic corpus, split once and for all into a training and a held-out part.

A word is held out by a hash of its spelling, so the split needs no file and cannot drift. Words that
also occur in templates are never held out (see `corpus.py`, which passes them in as `reserved`).
"""

from __future__ import annotations

import re
import zlib


def _words(text: str) -> list[str]:
    return text.split()


FIRST = _words("""
    Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Karl Lena Max Nina Otto Paula Ralf Sara Tom Ute
    Vera Walter Xenia Yara Zoe Adam Bella Carlo Diana Erik Fiona Georg Helen Ivan Julia Kevin Laura Marco
    Nora Oscar Peter Quinn Rosa Simon Tanja Ugo Viktor Wanda Alice Bruno Cora Dora Elias Frida Gustav Hanna
    Igor Jana Kira Leo Mia Noah Olga Paul Rita Sofia Theo Ursula Vince Willa Aaron Beth Colin Daisy Edwin
    Flora Grace Henry Irene Jack Katie Liam Mary Nick Olive Pia Rose Sean Tara Uma Violet Wes Abel Birgit
    Cyril Dennis Edith Frank Gina Hans Inga Jerome Klara Lukas Martha Nils Oliver Petra Robin Stella Tilda
    Udo Valerie Wim Agnes Boris Cecile Dirk Elsa Fred Gerda Hilde Isaac Joan Kurt Lydia Mona Norbert Ophelia
    Pablo Regina Stefan Tessa Urs Vivian Wolf Amir Bao Chen Dinesh Esra Fatima Goran Hiro Indira Jamal Kofi
    Leila Mehmet Nadia Omar Priya Ravi Suki Tariq Usha Vikram Wei Yusuf Zara Akira Bina Dariusz Ewa Farid
    Halina Jorge Kaito Lucia Mateo Nuria Pavel Rafael Samira Tomas
""")

PLACES = _words("""
    Berlin Paris London Madrid Rome Vienna Oslo Dublin Lisbon Prague Athens Warsaw Zurich Bremen Hamburg
    Munich Cologne Leipzig Dresden Milan Turin Naples Lyon Nice Lille Porto Seville Bilbao Ghent Bruges
    Antwerp Bergen Malmo Turku Riga Tallinn Vilnius Minsk Kiev Odessa Sofia Varna Split Zagreb Graz Linz
    Basel Bern Geneva Lugano Boston Denver Dallas Austin Miami Seattle Chicago Detroit Memphis Phoenix Tampa
    Tulsa Omaha Reno Salem Toronto Ottawa Calgary Lima Quito Bogota Caracas Santiago Havana Cairo Tunis
    Lagos Accra Nairobi Dakar Delhi Mumbai Madras Tokyo Osaka Kyoto Nagoya Seoul Busan Beijing Shanghai
    Hanoi Manila Jakarta Sydney Perth Brisbane Darwin Hobart Auckland York Leeds Bath Oxford Derby Exeter
    Dover Cardiff Glasgow Dundee Belfast Cork Galway
""")

NOUNS = _words("""
    lamp table chair desk printer phone laptop camera bottle basket ladder hammer mirror carpet curtain
    pillow blanket kettle toaster oven fridge freezer heater fan clock watch ring necklace jacket coat shirt
    skirt boot sandal glove scarf helmet bicycle scooter truck tractor boat canoe tent rucksack suitcase
    wallet purse umbrella notebook pencil eraser stapler folder binder envelope stamp magazine novel poster
    puzzle guitar piano violin drum trumpet flute speaker headset keyboard mouse monitor cable charger
    battery router antenna sensor engine pump valve filter hose pipe bucket shovel rake axe saw drill wrench
    screw nail brick tile plank rope chain lock hinge gate fence shed barn tower bridge tunnel harbour
    island forest meadow river lake canyon desert valley hill garden orchard apple pear plum cherry lemon
    orange banana melon grape peach mango carrot potato onion tomato cabbage lettuce pepper mushroom bean
    rice pasta bread butter cheese yoghurt honey sugar salt flour vinegar coffee tea juice soup salad
    sandwich cake cookie candy chocolate dog cat horse cow sheep goat pig rabbit hamster parrot eagle falcon
    owl crow swan duck goose turkey lizard turtle frog snake shark whale dolphin salmon trout crab lobster
    spider beetle butterfly bee ant wolf fox bear lion tiger leopard zebra giraffe camel monkey elephant
    mask crown sword shield candle torch lantern anchor compass map globe telescope microscope magnet prism
    crystal diamond pearl ruby emerald marble statue vase bowl plate cup spoon fork knife tray jar barrel
    crate cushion sofa shelf cabinet drawer wardrobe bench stool swing kite balloon doll robot rocket saucer
    plane train tram bus taxi van wagon sled ski skate racket whistle trophy medal badge ribbon button
    zipper needle thread cotton wool silk velvet leather rubber copper silver iron steel bronze tin nickel
    cobalt zinc timber bamboo clay glass paper plaster cement gravel sand pebble
""")

ADJ = _words("""
    red blue green yellow black white brown grey pink purple golden crimson scarlet amber turquoise violet
    teal navy beige ivory maroon olive coral big small tall short wide narrow heavy light soft hard round
    square flat sharp smooth rough warm cold hot cool dry wet clean dirty new old fresh quiet loud fast slow
    bright dark shiny dull sweet sour bitter salty mild strong weak rich poor brave calm eager gentle happy
    lazy lucky proud rare rapid royal simple solid spare steady stiff strange tidy tiny vast vivid wise
    young modern ancient wooden plastic hollow curly foggy sunny rainy windy stormy frozen broken hidden
    secret public private local global
""")

ATTRS = _words("""
    colour price owner code password room city manager deadline weight size name number address supplier
    status height age title nickname country language hobby job department floor phone brand model shape
    material smell taste length width depth speed rank score grade level position team captain coach sponsor
    partner teacher doctor lawyer author editor publisher designer builder maker seller buyer driver guard
    leader founder director capital currency flag symbol motto theme topic category label type format
    version date month day season budget salary bonus fee rent tax discount rating target goal task role key
    tag badge locker seat row section branch office station route gate platform shift contact origin
    destination source purpose warranty capacity voltage
""")

LABELS = _words("""
    billing shipping returns refund account login password technical hardware software sales support
    feedback complaint praise question request order delivery payment invoice warranty repair training
    travel safety security legal finance marketing personnel catering cleaning parking transport storage
    network printing privacy insurance health sport music politics science weather history cooking fashion
    gaming movies books nature energy housing urgent normal low high medium critical minor major positive
    negative neutral spam internal external approved rejected pending open closed
""")

SYNONYMS = {
    "billing": "charged invoice amount debit bank",
    "shipping": "parcel package courier arrived tracking",
    "returns": "back return exchange wrong unwanted",
    "login": "signin username locked credentials",
    "hardware": "screen device broken cracked machine",
    "software": "app crash update bug install",
    "sales": "buy purchase quote offer catalogue",
    "complaint": "unhappy terrible disappointed angry awful",
    "praise": "thanks great wonderful excellent lovely",
    "travel": "flight hotel trip airport journey",
    "health": "sick fever medicine hospital pain",
    "sport": "football match tennis goal league",
    "music": "song concert band singer album",
    "weather": "rain storm snow sunshine wind",
    "cooking": "recipe kitchen dinner bake meal",
    "finance": "money loan credit savings budget",
    "security": "alarm thief virus hacked fraud",
    "parking": "garage car space permit ticket",
    "network": "internet wifi connection offline signal",
    "printing": "printer toner ink paper copies",
    "positive": "love good happy perfect nice",
    "negative": "hate bad sad poor worst",
    "urgent": "immediately emergency asap now quickly",
    "repair": "fix mend defect faulty damaged",
}

ONSETS = _words("b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w z bl sk")
VOWELS = _words("a e i o u ai ea ou ie ar er or en on al in")
CODAS = _words("n r l s t ck nd rt m sk ff x den ville ton berg son mann ley ska rin lo mar")

UNITS = _words("days weeks hours minutes months years euros points metres miles pages steps pieces percent")


def is_held(word: str, reserved: frozenset[str] = frozenset()) -> bool:
    """Whether a word is kept for evaluation only."""
    low = word.lower()
    return low not in reserved and zlib.crc32(low.encode()) % 8 == 0


def words_of(text: str) -> set[str]:
    """Lower-case alphabetic words of a text; this is the meaning of 'word' in the held-out promise."""
    return set(re.findall(r"[a-z]+", text.lower()))
