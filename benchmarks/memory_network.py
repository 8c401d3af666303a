"""Trains memory networks on the published bAbI files and prints Table 3 beside the paper's.

    python benchmarks/memory_network.py ../shared/data/babi/en.tar.xz --columns AM+NG+NL

No other implementation of the strongly supervised network with its extensions runs today, so the
paper's numbers are the peer; the ratio is that of the mean accuracies.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from methodical.components.data.babi import reader, text
from methodical.models.memory_network import MemoryNetwork
from methodical.pipeline.methods.memory_network.paper import COLUMNS, TABLE_3

BUCKETS = (4, 8, 16, 32, 64, 128)


def features_of(sentence, longest):
    """Returns the words of a sentence and its n-grams."""
    words = text.tokenize(sentence)
    return words + text.ngrams(words, longest)


def vocabulary(records, longest):
    """Returns the ids of all features, words first, and the number of words."""
    words, ngrams = set(), set()
    for record in records:
        words.update(word.lower() for word in record.answer)
        for sentence in (*record.story, record.question):
            tokens = text.tokenize(sentence)
            words.update(tokens)
            ngrams.update(text.ngrams(tokens, longest))
    ordered = sorted(words) + sorted(ngrams - words)
    return {feature: number for number, feature in enumerate(ordered, 1)}, len(words)


def padded(rows, fill=0):
    """Returns rows of different lengths as one array."""
    result = np.full((len(rows), max(map(len, rows)) or 1), fill, "int32")
    for number, row in enumerate(rows):
        result[number, : len(row)] = row
    return result


def vectorise(records, ids, longest):
    """Yields one padded array a name for each bucket of story lengths."""

    def encode(sentence):
        return [ids[feature] for feature in features_of(sentence, longest) if feature in ids]

    buckets = np.digitize([len(record.story) for record in records], BUCKETS)
    for bucket in np.unique(buckets):
        chosen = [records[i] for i in np.flatnonzero(buckets == bucket)]
        stories = [[encode(sentence) for sentence in record.story] for record in chosen]
        sentences = max(map(len, stories))
        width = max(len(sentence) for story in stories for sentence in story)
        story = np.zeros((len(chosen), sentences, width), "int32")
        for b, rows in enumerate(stories):
            story[b, : len(rows)] = np.pad(padded(rows), ((0, 0), (0, width)))[:, :width]
        answers = [[ids.get(word.lower(), 0) for word in record.answer] for record in chosen]
        yield {
            "story": story,
            "question": padded([encode(record.question) for record in chosen]),
            "write_time": np.tile(np.arange(1, sentences + 1, dtype="int32"), (len(chosen), 1)),
            "supporting_facts": padded([record.supporting for record in chosen], -1),
            "answer": padded(answers),
        }


class Batches(keras.utils.PyDataset):
    """Shuffled batches of stories of like length."""

    def __init__(self, parts, batch_size, seed):
        super().__init__()
        self.parts, self.batch_size = parts, batch_size
        self.generator = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self):
        """Draws new batches."""
        self.batches = []
        for part in self.parts:
            order = self.generator.permutation(len(part["story"]))
            starts = range(0, len(order), self.batch_size)
            self.batches += [(part, order[start : start + self.batch_size]) for start in starts]
        self.generator.shuffle(self.batches)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        part, rows = self.batches[number]
        return ({name: array[rows] for name, array in part.items()},)


def train_and_test(files, column, options):
    """Returns test accuracy in %, facts found in %, and the seconds of training."""
    records = {}
    for file in files:
        records[file.split] = list(reader.read_task_file(file))
    longest = 3 if "NG" in column else 1
    ids, words = vocabulary(records["train"], longest)
    train = Batches(list(vectorise(records["train"], ids, longest)), 32, options.seed)
    keras.utils.set_random_seed(options.seed)
    model = MemoryNetwork(
        words,
        len(ids),
        embedding_dim=options.embedding_dim,
        adaptive="AM" in column,
        nonlinear="NL" in column,
    )
    decay = keras.optimizers.schedules.CosineDecay(0.01, options.epochs * len(train))
    model.compile(optimizer=keras.optimizers.Adam(decay), jit_compile=False)
    start = time.perf_counter()
    model.fit(train, epochs=options.epochs, verbose=0)
    seconds = time.perf_counter() - start
    logs = model.evaluate(
        Batches(list(vectorise(records["test"], ids, longest)), 128, 0),
        verbose=0,
        return_dict=True,
    )
    return 100 * logs["answer_accuracy"], 100 * logs["fact_accuracy"], seconds


def table(data, options):
    """Trains and tests each column and task, and prints a line for each."""
    for column in options.columns:
        place = COLUMNS.index(column)
        ours, papers, total = [], [], 0.0
        print(f"\n{column}, seed {options.seed}\ntask    ours   paper   facts   seconds")
        for task in options.tasks:
            files = reader.find_task_files(data, options.variant, [task])
            accuracy, facts, seconds = train_and_test(files, column, options)
            ours.append(accuracy)
            papers.append(TABLE_3[task - 1][place])
            total += seconds
            print(f"{task:4d}{accuracy:8.1f}{papers[-1]:8d}{facts:8.1f}{seconds:10.1f}", flush=True)
        ratio = np.mean(ours) / np.mean(papers)
        print(
            f"mean{np.mean(ours):8.1f}{np.mean(papers):8.1f}{total:18.1f}   ratio {ratio:.3f}",
            flush=True,
        )


def main():
    """Reads the options and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="the published files: a folder or an archive")
    parser.add_argument("--columns", nargs="+", default=["AM+NG+NL"], choices=COLUMNS[3:8])
    parser.add_argument("--tasks", nargs="+", type=int, default=list(range(1, 21)))
    parser.add_argument("--variant", default="en")
    parser.add_argument("--embedding-dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    table(options.data, options)


if __name__ == "__main__":
    main()
