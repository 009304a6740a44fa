"""Technical terms: words whose sense in programming or mathematics isn't the one that other texts use most.

WordNet counts senses in novels and newspapers, where a product is merchandise, a letter a missive and to write to pen.
A synonym in such a sense changes a task: a vowel sound is no letter, and what is directly a line isn't straight. Terms
that have one sense, or the same one everywhere, aren't listed: an integer is a whole number.
"""

from __future__ import annotations

VERSION = "2"
"""Version of these words, part of the fingerprints of methods that leave them alone."""
_DATA = """
array bit bracket bucket byte capital case cell character class code collection column consonant data dictionary digit
edge element entry expression field file flat float function graph heap index input instance item iterable key leading
length letter line list loop lower map mark matrix member method module name nested node number object operand operator
output pair parameter particular path pattern pointer position postfix prefix program queue record result row sentence
sequence set snake space special stack string structure substring suffix symbol table text tree triplet tuple type upper
value variable vector vowel word
"""
_MATHEMATICS = """
aggregate amount angle arc area average base center circle circular coefficient combination common complement
consecutive coordinate cube degree denominator deviation diameter difference dimension distance distinct divisor double
ellipse equation even factor floor focus fraction given half height individual integral intersection level limit magic
majority matching max maximum mean median min minimum mode monotonic multiple negative odd order origin perimeter
permutation plane point polygon positive power prime product proportion quarter quotient radius range ratio real
remainder root run scale score select single sphere square step straight sum summation term total triangle union unique
unit volume width
"""
_SOFTWARE = """
action api argument author bar bash board call category client command comment component compiler concept constant
container control controller criterion delay deposit document driver email endpoint error event exception excel
extension feature folder format framework frame game get handler hash header host html image interface job keyword
layout library link log machine manager memory message model network node option package page password port process
project purpose query request response route salary schedule script separator server service session shell signal
snippet source statement swift syntax system tag task template ternary test thread token tool track traverse turn
update user view web window zip
"""
_OPERATIONS = """
accord appear append ascend assign attribute call capitalize cast check consist copy define descend divide enter
evaluate fill flip form generate inscribe iterate make match merge move multiply negate note pop print put repeat return
reverse rotate round shift sort split store strip swap tell transform write
"""
TERMS = frozenset([*_DATA.split(), *_MATHEMATICS.split(), *_SOFTWARE.split(), *_OPERATIONS.split()])
"""Nouns, adjectives and verbs, in base form and of any part of speech, which taggers confuse."""
_ORDINALS = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth
ninetieth hundredth thousandth millionth billionth st nd rd th nth
"""
ORDINALS = frozenset(_ORDINALS.split())
"""Ordinals, and the endings of those that are written with a figure or a letter: the n'th."""
