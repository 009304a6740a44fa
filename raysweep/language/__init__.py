"""What perturbations know of English: tags, synonyms, inflections, sentences, translations."""
