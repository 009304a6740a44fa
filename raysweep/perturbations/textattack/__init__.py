"""Any of textattack's transformations as a perturbation: ``textattack:NAME``.

textattack is an extra (`attack`) and is imported when a transformation is first used.

    perturbation.py  changes words of a text by a textattack transformation
    loading.py       imports textattack without a network and without side effects
    words.py         maps textattack's words to raysweep's segments
"""
