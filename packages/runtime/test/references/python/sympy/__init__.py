def simplify(value):
    return value
