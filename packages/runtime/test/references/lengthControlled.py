"""Win rates at equal lengths by scikit-learn, for evaluation/judge.test.ts: AlpacaEval 2's estimator without its gamed baselines,
with contest i in fold i mod 5. Prints the number of contests, the rate by length, and with the difficulty of instructions."""
import numpy as np
from sklearn.linear_model import LogisticRegression


def contests(n):
    i = np.arange(n)
    lengths = 3.0 * ((i * 37) % 101 - 40)
    difficulties = ((i * 53) % 17 - 8) / 4
    z = 0.3 + 0.8 * np.tanh(lengths / 120) - 0.5 * difficulties
    return (i * 29) % 11 / 20 + 0.5 / (1 + np.exp(-z)), lengths, difficulties


def rate(preferences, lengths, *others):
    x = np.stack([np.ones(len(lengths)), np.tanh(lengths / lengths.std(ddof=1)), *others], 1)
    fold = np.arange(len(lengths)) % 5

    def fit(rows, strength):
        # Soft labels: each contest once as won and once as lost, weighted.
        p = preferences[rows]
        model = LogisticRegression(penalty="l1", solver="liblinear", fit_intercept=False, C=strength, tol=1e-12, max_iter=100_000)
        return model.fit(np.tile(x[rows], (2, 1)), np.repeat([1, 0], len(p)), sample_weight=np.r_[p, 1 - p])

    def score(strength):
        total = 0
        for held in range(5):
            p = fit(fold != held, strength).predict_proba(x[fold == held])[:, 1]
            y = preferences[fold == held]
            total += np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        return total

    best = fit(fold >= 0, max(np.logspace(-4, 4, 10), key=score))
    x[:, 1] = 0
    return best.predict_proba(x)[:, 1].mean()


for n in (40, 200):
    preferences, lengths, difficulties = contests(n)
    print(n, round(rate(preferences, lengths), 10), round(rate(preferences, lengths, difficulties), 10))
