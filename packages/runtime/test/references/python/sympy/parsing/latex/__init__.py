import os, re, time
from fractions import Fraction

def parse_latex(text):
    if "hang" in text: time.sleep(30)
    if "exit" in text: os._exit(3)
    if "noise" in text: print("a warning of the parser on standard output")
    found = re.fullmatch(r"(-?\d+)|\\frac\{(-?\d+)\}\{(\d+)\}", text)
    if found is None: raise TypeError(f"cannot read {text}")
    return Fraction(int(found[1])) if found[1] else Fraction(int(found[2]), int(found[3]))
