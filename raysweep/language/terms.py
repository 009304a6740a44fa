"""Technical terms: words whose sense in programming or mathematics isn't the one that other texts use most.

WordNet counts senses in novels and newspapers, where a product is merchandise, a letter a missive and to write to pen.
A synonym in such a sense changes a task: a vowel sound is no letter, and what is directly a line isn't straight. Terms
that have one sense, or the same one everywhere, aren't listed: an integer is a whole number.
"""

from __future__ import annotations

VERSION = "1"
"""Version of these words, part of the fingerprints of methods that leave them alone."""
_DATA = """
array bit bracket bucket byte capital case cell chain character chunk class close closed closing code collection column
consonant counter current data delimit delimited dictionary digit dot edge element entry expression field file flat
float function graph heap index input instance item iterable key last leading length letter line list loop lower map
mark matrix member method module name nested node number object occurrence operand operator output pair parameter
particular path pattern place pointer position postfix precede preceding prefix program queue rear record repeated
result roll rolling row sentence sequence sequential set slice snake space special stack standard string structure
substring suffix surface symbol table text tree triplet tuple type underscore upper value variable vector vowel word
"""
_MATHEMATICS = """
aggregate amount angle arc area average base center circle circular coefficient combination common complement complex
consecutive coordinate cube degree denominator derivative deviation diameter difference dimension disjoint distance
distinct divisor double ellipse equal equation even factor floor focus fraction given great greatest half height
individual infinite integral intersection level limit magic majority matching max maximum mean median min minimum minus
mode monotonic multiple negative odd order origin parallel perfect perimeter permutation plane plus point polygon
positive power prime product proportion quarter quotient radius range ratio real remainder root run scale score select
single sphere spiral square star step straight sum summation super term total triangle undulate undulating union unique
unit volume way width
"""
_SOFTWARE = """
action api argument author bar bash board body call category child client command comment compile compiler component
concept console constant container content control controller criterion delay deposit document domain driver email
endpoint error event excel exception execution extension feature folder format frame framework game get handler hash
header host html image indicate interface job keyword layout leap library link log machine manager memory message model
network node null option overflow package page password port primary private process project prompt public purpose query
react reference request response retrieve route salary schedule script separator server service session shell signal
snippet source statement static support swift syntax system tag task template ternary test thread token tool track
traverse turn update user view void web weight window work zip
"""
_OPERATIONS = """
accord appear append ascend assign attribute calculated call capitalize cast check consist converted copy define descend
divide enter evaluate fill filter fix fixed flip form generate implement implemented inscribe interchange iterate make
match merge mix mixed move multiply negate note occur open opening perform performing pop print put repeat return
reverse rotate round shift shuffle sort split store strip swap tell trail transform trim write
"""
_MISTAKEN = """
assumed backward beat change collide directly except find fly forward found ignore immediately inside let long matter
meet need outside please present properly remain right said say take time true well
"""
"""Words that taggers take for another part of speech, or whose most frequent sense is seldom that of a task.

"Takes" isn't income, "no matter" no affair, "present in" isn't shown in, and cars that collide don't jar.
"""
TERMS = frozenset(" ".join([_DATA, _MATHEMATICS, _SOFTWARE, _OPERATIONS, _MISTAKEN]).split())
"""Nouns, verbs, adjectives and adverbs, in base form and of any part of speech, which taggers confuse."""
_ORDINALS = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth
ninetieth hundredth thousandth millionth billionth st nd rd th nth
"""
ORDINALS = frozenset(_ORDINALS.split())
"""Ordinals, and the endings of those that are written with a figure or a letter: the n'th."""
