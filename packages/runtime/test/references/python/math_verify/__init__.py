import re

class LatexExtractionConfig: pass

def parse(text, extraction_config=None):
    if "raise" in text: raise RuntimeError("no such thing")
    return re.findall(r"\d+", text)[-1:]

def verify(gold, answer):
    return gold == answer
