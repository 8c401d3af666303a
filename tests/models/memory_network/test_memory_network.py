"""The memory network against hand-worked numbers and NumPy transcriptions of the papers."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.memory_network import (
    NOW,
    BagOfFeatures,
    MarginRankingLoss,
    Matching,
    MemoryNetwork,
    PairwiseMarginRankingLoss,
    Response,
    SupportingFacts,
    WriteTime,
    tournament,
)

VOCABULARY = 12


def array(tensor):
    return ops.convert_to_numpy(tensor)


def randomise(thing, seed=0, scale=1.0):
    """Large weights, so that no two scores are near each other."""
    generator = np.random.default_rng(seed)
    for weight in thing.weights:
        weight.assign(generator.normal(0, scale, weight.shape))


def stories(batch=6, sentences=5, seed=1):
    generator = np.random.default_rng(seed)
    story = generator.integers(1, VOCABULARY + 1, (batch, sentences, 3)).astype("int32")
    length = generator.integers(3, sentences + 1, batch)
    story[np.arange(sentences) >= length[:, None]] = 0
    return {
        "story": story,
        "question": generator.integers(1, VOCABULARY + 1, (batch, 2)).astype("int32"),
        "write_time": np.tile(np.arange(1, sentences + 1, dtype="int32"), (batch, 1)),
    }


class Reference:
    """Memory Networks' equations for one question, word for word, in float64."""

    def __init__(self, matching, write_time=None):
        self.tables = {
            bag.name: array(bag.embeddings)
            for bag in matching._flatten_layers()
            if isinstance(bag, BagOfFeatures)
        }
        self.kernel = array(matching.kernel) if matching.nonlinear else None
        self.spaces = matching.memory_spaces
        self.ages = array(write_time.kernel) if write_time is not None else None

    def bag(self, table, ids):
        return sum(
            (self.tables[table][i - 1] for i in ids if i), np.zeros(self.tables[table].shape[1])
        )

    def embed(self, bag):
        return bag if self.kernel is None else np.tanh(np.tanh(bag) @ self.kernel)

    def query(self, question, memories):
        bag = self.bag("question_bag", question)
        for k, memory in enumerate(memories):
            bag = bag + self.bag(f"memory_bag_{min(k, self.spaces - 1)}", memory)
        return bag

    def pair(self, query, x_time, y, y_time, other, other_time):
        features = [x_time < y_time, x_time < other_time, y_time < other_time]
        signs = np.where(features, 1.0, -1.0)
        one, two = (self.embed(self.bag("candidate_bag", ids)) for ids in (y, other))
        return self.embed(query) @ (one - two + self.ages.T @ signs)


def test_bag_of_features_adds_rows_and_ignores_padding_and_ids_without_a_row():
    bag = BagOfFeatures(VOCABULARY, 2, features=[7, 3])
    bag.build()
    bag.embeddings.assign([[1.0, 2.0], [10.0, 20.0]])
    ids = np.array([[3, 7, 0], [7, 7, 0], [4, 12, 0], [0, 0, 0]])
    np.testing.assert_array_equal(array(bag(ids)), [[11, 22], [20, 40], [0, 0], [0, 0]])


@pytest.mark.parametrize("features", [[], [0, 1], [13]])
def test_bag_of_features_refuses_ids_out_of_range(features):
    with pytest.raises(ValueError, match=r"from 1 to vocabulary_size=12\. Received: features="):
        BagOfFeatures(VOCABULARY, 2, features=features)


def test_matching_with_weights_of_ones():
    inputs = {
        "question": np.array([[1, 2, 0]]),
        "memories": np.array([[[3, 4], [5, 0]]]),
        "candidates": np.array([[[6, 0], [7, 8]]]),
    }
    matching = Matching(VOCABULARY, 3, embeddings_initializer="ones")
    # x has 5 features and y 1 and 2; each has 1 in each of the 3 components.
    np.testing.assert_allclose(array(matching(inputs)), [[15.0, 30.0]])
    nonlinear = Matching(VOCABULARY, 3, nonlinear=True, embeddings_initializer="ones")
    nonlinear.build()
    nonlinear.kernel.assign(np.ones((3, 3)))
    x = np.tanh(3 * np.tanh(5))
    y = np.tanh(3 * np.tanh(np.array([1, 2])))
    np.testing.assert_allclose(array(nonlinear(inputs)), [3 * x * y], rtol=1e-6)


@pytest.mark.parametrize("spaces", [1, 2, 3])
def test_each_memory_uses_the_table_of_its_position(spaces):
    matching = Matching(VOCABULARY, 4, memory_spaces=spaces)
    matching.build()
    randomise(matching)
    ids = np.random.default_rng(0).integers(1, VOCABULARY + 1, (2, 4, 3))
    reference = Reference(matching)
    expected = [
        [reference.bag(f"memory_bag_{min(k, spaces - 1)}", row[k]) for k in range(4)] for row in ids
    ]
    np.testing.assert_allclose(array(matching.memory_bag_sequence(ids)), expected, rtol=1e-5)
    for k in range(4):
        np.testing.assert_allclose(
            array(matching.memory_bag(ids[:, k], k)), np.array(expected)[:, k], rtol=1e-5
        )


def test_write_time_with_known_weights():
    layer = WriteTime()
    layer.build({"query": (None, 1)})
    layer.kernel.assign([[1.0], [10.0], [100.0]])

    def score(x_time, y_time, other_time):
        inputs = {"x_time": [x_time], "y_time": [[y_time]], "other_time": [[other_time]]}
        inputs = {name: np.array(value, "int32") for name, value in inputs.items()}
        return array(layer({"query": np.ones((1, 1), "float32"), **inputs}))[0, 0]

    assert score(NOW, 1, 2) == -1 - 10 + 100
    assert score(NOW, 2, 1) == -1 - 10 - 100
    assert score(3, 4, 2) == 1 - 10 - 100
    assert score(3, 2, 4) == -1 + 10 + 100
    assert score(3, 4, 5) == 1 + 10 + 100


def loop_winner(pairs, valid):
    """Algorithm 1 of Memory Networks."""
    best = None
    for i in range(len(valid)):
        if valid[i] and (best is None or pairs[i, best] > 0):
            best = i
    return best


def test_tournament_equals_the_papers_loop():
    generator = np.random.default_rng(0)
    pairs = generator.normal(size=(300, 9, 9)).astype("float32")
    valid = generator.random((300, 9)) < 0.7
    valid[np.arange(300), generator.integers(0, 9, 300)] = True
    expected = [loop_winner(pairs[b], valid[b]) for b in range(300)]
    np.testing.assert_array_equal(array(tournament(pairs, valid)), expected)
    # A cycle has no best memory: the order decides, as in the loop.
    assert len({tuple(row) for row in np.sign(pairs[:, 0, 1:])}) > 50


def test_margin_ranking_loss_is_the_papers_sum():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(4, 3, 6)).astype("float32")
    targets = generator.integers(0, 6, (4, 3))
    targets[1, 2] = -1
    expected = np.zeros((4, 3))
    for b, t in itertools.product(range(4), range(3)):
        right = targets[b, t]
        if right >= 0:
            expected[b, t] = sum(
                max(0.0, 0.3 - scores[b, t, right] + scores[b, t, wrong])
                for wrong in range(6)
                if wrong != right
            )
    loss = MarginRankingLoss(0.3, reduction=None)
    np.testing.assert_allclose(array(loss(targets, scores)), expected, rtol=1e-5)


def test_pairwise_margin_ranking_loss_is_the_papers_sum_in_both_orders():
    generator = np.random.default_rng(0)
    pairs = generator.normal(size=(4, 3, 6, 2)).astype("float32")
    targets = generator.integers(-1, 6, (4, 3))
    pairs[:, :, 5] = [np.inf, -np.inf]
    targets[targets == 5] = 0
    expected = np.zeros((4, 3))
    for b, t in itertools.product(range(4), range(3)):
        if targets[b, t] >= 0:
            for wrong in set(range(5)) - {targets[b, t]}:
                expected[b, t] += max(0.0, 0.3 - pairs[b, t, wrong, 0])
                expected[b, t] += max(0.0, 0.3 + pairs[b, t, wrong, 1])
    loss = PairwiseMarginRankingLoss(0.3, reduction=None)
    np.testing.assert_allclose(array(loss(targets, pairs)), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [MarginRankingLoss, PairwiseMarginRankingLoss])
def test_margin_must_be_positive(loss):
    with pytest.raises(ValueError, match="Received: margin=0"):
        loss(margin=0)


@pytest.mark.parametrize("nonlinear", [False, True])
def test_ranking_is_equation_7_given_the_facts_before(nonlinear):
    layer = SupportingFacts(VOCABULARY, 4, hops=2, nonlinear=nonlinear)
    layer.build()
    randomise(layer)
    inputs = stories()
    facts = np.array([[2, 0], [0, 1], [1, -1], [2, 1], [0, 2], [1, 0]], "int32")
    targets, pairs, used = map(array, layer.ranking({**inputs, "supporting_facts": facts}))
    # The third question has one fact: the second hop finds it again.
    np.testing.assert_array_equal(targets, np.where(facts < 0, 1, facts))
    np.testing.assert_array_equal(used, targets)
    reference = Reference(layer.matching, layer.write_time)
    for b, hop, other in itertools.product(range(6), range(2), range(5)):
        story, time = inputs["story"][b], inputs["write_time"][b]
        if not story[other].any():
            assert pairs[b, hop, other, 0] == np.inf
            assert pairs[b, hop, other, 1] == -np.inf
            continue
        right = targets[b, hop]
        query = reference.query(inputs["question"][b], [story[f] for f in targets[b, :hop]])
        x_time = NOW if hop == 0 else time[targets[b, hop - 1]]
        y, z = (story[right], time[right]), (story[other], time[other])
        expected = [reference.pair(query, x_time, *y, *z), reference.pair(query, x_time, *z, *y)]
        np.testing.assert_allclose(pairs[b, hop, other], expected, rtol=1e-4, atol=1e-4)


def test_adaptive_ranking_has_the_stop_fact_and_leaves_out_facts_found():
    layer = SupportingFacts(VOCABULARY, 4, hops=3, adaptive=True)
    layer.build()
    randomise(layer)
    inputs = stories()
    facts = np.array([[2, 0], [0, 1], [1, -1], [2, 1], [0, 2], [1, 0]], "int32")
    targets, pairs, used = map(array, layer.ranking({**inputs, "supporting_facts": facts}))
    np.testing.assert_array_equal(targets[0], [2, 0, 5])
    np.testing.assert_array_equal(targets[2], [1, 5, -1])
    np.testing.assert_array_equal(used[2], [1, -1, -1])
    assert pairs[0, 1, 2, 0] == np.inf
    assert np.isfinite(pairs[0, 0, 2]).all()
    assert (pairs[0, 2, [0, 2], 0] == np.inf).all()
    reference = Reference(layer.matching, layer.write_time)
    query = reference.query(inputs["question"][0], [inputs["story"][0, 2]])
    right = reference.bag("candidate_bag", inputs["story"][0, 0])
    difference = query @ (right - array(layer.stop_fact)[0])
    np.testing.assert_allclose(pairs[0, 1, 5], [difference, -difference], rtol=1e-4)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_supporting_facts_equal_a_loop_over_hops_and_memories(adaptive, nonlinear):
    layer = SupportingFacts(VOCABULARY, 4, hops=3, adaptive=adaptive, nonlinear=nonlinear)
    layer.build()
    randomise(layer, seed=4, scale=0.5)
    inputs = stories(batch=40)
    found = layer(inputs)
    reference = Reference(layer.matching, layer.write_time)
    expected = np.full((40, 3), -1)
    for b in range(40):
        story, time = inputs["story"][b], inputs["write_time"][b]
        facts = []
        for hop in range(3):
            query = reference.query(inputs["question"][b], [story[f] for f in facts])
            x_time = time[facts[-1]] if facts else NOW
            free = [i for i in range(5) if story[i].any() and not (adaptive and i in facts)]
            if not free:
                break
            best = free[0]
            for i in free[1:]:
                if reference.pair(query, x_time, story[i], time[i], story[best], time[best]) > 0:
                    best = i
            if adaptive:
                stop = reference.embed(array(layer.stop_fact)[0])
                fact = reference.embed(reference.bag("candidate_bag", story[best]))
                if reference.embed(query) @ (stop - fact) > 0:
                    break
            facts.append(best)
            expected[b, hop] = best
    np.testing.assert_array_equal(array(found["supporting_facts"]), expected)
    attention = array(found["attention"])
    assert ((attention >= 0) & (attention <= 1 + 1e-6)).all()
    assert (
        attention[np.broadcast_to(~inputs["story"].any(-1)[:, None], attention.shape)] == 0
    ).all()
    total = attention.sum(-1)
    assert (total[expected < 0] == 0).all()
    if adaptive:
        assert len({tuple(row >= 0) for row in expected}) > 1
        assert (total <= 1 + 1e-5).all()
    else:
        np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_adaptive_hops_end_with_the_stop_fact_or_with_the_last_sentence():
    layer = SupportingFacts(VOCABULARY, 2, hops=10, adaptive=True)
    layer.build()
    inputs = stories(batch=3)
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape))
    layer.stop_fact.assign(np.full((1, 2), -100.0))
    facts = array(layer(inputs)["supporting_facts"])
    sentences = inputs["story"].any(-1).sum(-1)
    np.testing.assert_array_equal((facts >= 0).sum(-1), sentences)
    assert all(len(set(row[row >= 0])) == n for row, n in zip(facts, sentences, strict=True))
    layer.stop_fact.assign(np.full((1, 2), 100.0))
    assert (array(layer(inputs)["supporting_facts"]) == -1).all()


def test_a_story_without_sentences_has_no_facts_and_still_an_answer():
    model = MemoryNetwork(9, VOCABULARY, embedding_dim=4, adaptive=True, max_hops=3)
    inputs = stories(batch=2)
    inputs["story"][0] = 0
    outputs = model(inputs)
    assert (array(outputs["supporting_facts"])[0] == -1).all()
    assert array(outputs["answer"])[0, 0] > 0


def test_response_is_the_best_word_and_its_softmax():
    layer = Response(9, VOCABULARY, 4, features=[2, 3, 5, 7, 11, 12], nonlinear=True)
    layer.build()
    randomise(layer)
    inputs = {**stories(), "supporting_facts": np.array([[0, 2], [1, -1]] * 3, "int32")}
    outputs = layer({name: inputs[name] for name in ("story", "question", "supporting_facts")})
    reference = Reference(layer.matching)
    row = {2: 1, 3: 2, 5: 3, 7: 4, 11: 5, 12: 6}

    def rows(ids):
        return [row.get(int(i), 0) for i in ids]

    for b in range(6):
        facts = [rows(inputs["story"][b, f]) for f in inputs["supporting_facts"][b] if f >= 0]
        query = reference.embed(reference.query(rows(inputs["question"][b]), facts))
        scores = np.array(
            [
                query @ reference.embed(reference.bag("candidate_bag", [row[w]]))
                for w in (2, 3, 5, 7)
            ]
        )
        best = scores.argmax()
        assert array(outputs["answer"])[b, 0] == (2, 3, 5, 7)[best]
        share = np.exp(scores[best]) / np.exp(scores).sum()
        np.testing.assert_allclose(array(outputs["probability"])[b], share, rtol=1e-4)


def test_adaptive_response_gives_words_until_the_stop_word():
    # One component: the words have scores 1, 2 and 3 times the query, the stop word 2.5 times.
    layer = Response(3, 3, 1, max_words=3, adaptive=True)
    layer.build()
    matching = layer.matching
    matching.question_bag.embeddings.assign([[1.0], [-1.0], [0.0]])
    for bag in matching.memory_bags:
        bag.embeddings.assign(np.zeros((3, 1)))
    matching.candidate_bag.embeddings.assign([[1.0], [2.0], [3.0]])
    layer.stop_word.assign([[2.5]])
    # After word 3 the query is 1 - 2 = -1: word 1 is best; after it -1 + 0.5, again word 1.
    layer.answer_bag.embeddings.assign([[0.5], [0.0], [-2.0]])
    inputs = {
        "story": np.ones((1, 1, 1), "int32"),
        "question": np.array([[1]]),
        "supporting_facts": np.array([[-1]]),
    }
    outputs = layer(inputs)
    np.testing.assert_array_equal(array(outputs["answer"]), [[3, 1, 1]])

    def share(scores, best):
        return np.exp(scores[best]) / np.exp(scores).sum()

    candidates = np.array([1, 2, 3, 2.5])
    expected = share(candidates[:3], 2) * share(-candidates, 0) * share(-0.5 * candidates, 0)
    np.testing.assert_allclose(array(outputs["probability"]), [expected], rtol=1e-5)

    # A stop word of -2 beats word 1 after word 3; it never comes first.
    layer.stop_word.assign([[-2.0]])
    outputs = layer(inputs)
    np.testing.assert_array_equal(array(outputs["answer"]), [[3, 0, 0]])
    expected = share(candidates[:3], 2) * share(-np.array([1, 2, 3, -2]), 3)
    np.testing.assert_allclose(array(outputs["probability"]), [expected], rtol=1e-5)
    layer.stop_word.assign([[200.0]])
    np.testing.assert_array_equal(array(layer(inputs)["answer"]), [[3, 1, 1]])


def test_response_ranking_gives_the_right_words_before():
    layer = Response(9, VOCABULARY, 4, max_words=4, adaptive=True)
    layer.build()
    randomise(layer)
    inputs = {
        **stories(batch=2),
        "supporting_facts": np.array([[0, 1], [2, -1]], "int32"),
        "answer": np.array([[4, 6, 0], [9, 0, 0]], "int32"),
    }
    targets, scores = map(array, layer.ranking(inputs))
    np.testing.assert_array_equal(targets, [[3, 5, 9, -1], [8, 9, -1, -1]])
    assert scores.shape == (2, 4, 10)
    reference = Reference(layer.matching)
    words = array(layer.answer_bag.embeddings)
    memories = [inputs["story"][0, 0], inputs["story"][0, 1]]
    query = reference.query(inputs["question"][0], memories) + words[3] + words[5]
    candidates = np.concatenate([reference.tables["candidate_bag"][:9], array(layer.stop_word)])
    np.testing.assert_allclose(scores[0, 2], candidates @ query, rtol=1e-4)


def toy(count, seed):
    """Where is x? Two people move about; the last move of the one asked for is the fact."""
    generator = np.random.default_rng(seed)
    who = generator.integers(1, 3, (count, 4))
    where = generator.integers(3, 6, (count, 4))
    asked = np.take_along_axis(who, generator.integers(0, 4, (count, 1)), 1)
    fact = 3 - np.argmax((who == asked)[:, ::-1], axis=1)
    return {
        "story": np.stack([who, where], -1).astype("int32"),
        "question": asked.astype("int32"),
        "write_time": np.tile(np.arange(4, dtype="int32"), (count, 1)),
        "supporting_facts": fact[:, None].astype("int32"),
        "answer": np.take_along_axis(where, fact[:, None], 1).astype("int32"),
    }


@pytest.mark.parametrize("options", [{"hops": 1}, {"adaptive": True, "nonlinear": True}])
def test_fit_learns_who_is_where(options):
    keras.utils.set_random_seed(0)
    model = MemoryNetwork(5, 5, embedding_dim=10, max_hops=3, max_answer_words=2, **options)
    model.compile(optimizer=keras.optimizers.Adam(0.02), jit_compile=False)
    history = model.fit(toy(300, 0), batch_size=32, epochs=12, verbose=0).history
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    test = toy(200, 1)
    logs = model.evaluate(test, verbose=0, return_dict=True)
    assert logs["answer_accuracy"] > 0.95
    assert logs["fact_accuracy"] > 0.95
    # The metrics are those of the answers given.
    outputs = model.predict(test, verbose=0)
    right = outputs["answer"][:, 0] == test["answer"][:, 0]
    if options.get("adaptive"):
        right &= (outputs["answer"][:, 1:] == 0).all(1)
    np.testing.assert_allclose(logs["answer_accuracy"], right.mean(), atol=1e-6)
    chosen = outputs["supporting_facts"]
    right = (chosen[:, 0] == test["supporting_facts"][:, 0]) & (chosen[:, 1:] == -1).all(1)
    np.testing.assert_allclose(logs["fact_accuracy"], right.mean(), atol=1e-6)


def test_loss_is_the_sum_of_both_losses_and_weighs_questions():
    keras.utils.set_random_seed(0)
    model = MemoryNetwork(5, 5, embedding_dim=4, hops=1, margin=0.2)
    data = toy(3, 0)
    ranked = model.rank(data)
    facts = PairwiseMarginRankingLoss(0.2, reduction=None)
    words = MarginRankingLoss(0.2, reduction=None)
    each = array(facts(ranked["fact_targets"], ranked["fact_pairs"]))[:, 0]
    each = each + array(words(ranked["answer_targets"], ranked["answer_scores"]))[:, 0]
    assert (each > 0).all()
    np.testing.assert_allclose(array(model.compute_loss(data)), each.mean(), rtol=1e-5)
    weights = np.array([1.0, 0.0, 3.0], "float32")
    weighted = model.compute_loss(data, sample_weight=weights)
    np.testing.assert_allclose(array(weighted), (each * weights).mean(), rtol=1e-5)


def test_targets_that_are_missing_are_named():
    model = MemoryNetwork(9, VOCABULARY, embedding_dim=4)
    with pytest.raises(ValueError, match="need the inputs supporting_facts, answer"):
        model.rank(stories())


def test_inputs_that_are_missing_are_named():
    model = MemoryNetwork(9, VOCABULARY, embedding_dim=4)
    inputs = {name: value for name, value in stories().items() if name != "write_time"}
    with pytest.raises(ValueError, match=r"The inputs \['write_time'\] are missing"):
        model(inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": 13}, "Received: words=13"),
        ({"hops": 0}, "Received: hops=0"),
        ({"embedding_dim": 0}, "Received: embedding_dim=0"),
        ({"memory_spaces": 0}, "Received: memory_spaces=0"),
        ({"features": [10, 11]}, "must contain a word"),
        ({"margin": -1.0}, "Received: margin=-1.0"),
        ({"adaptive": True, "max_answer_words": 0}, "Received: max_words=0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MemoryNetwork(**{"words": 9, "vocabulary_size": VOCABULARY, **options})


def test_every_option_is_in_the_configuration():
    options = {
        "words": 9,
        "vocabulary_size": VOCABULARY,
        "embedding_dim": 3,
        "hops": 1,
        "adaptive": True,
        "max_hops": 4,
        "max_answer_words": 2,
        "nonlinear": True,
        "features": [1, 2, 12],
        "memory_spaces": 1,
        "margin": 0.7,
        "fact_dropout": 0.1,
        "answer_dropout": 0.2,
    }
    config = MemoryNetwork(**options).get_config()
    assert {name: config[name] for name in options} == options
    model = MemoryNetwork.from_config(config)
    assert model.output_component.hops == 4
    assert model.output_component.matching.dropout.rate == 0.1
    assert model.response_component.matching.dropout.rate == 0.2
    assert model.fact_loss.margin == model.answer_loss.margin == 0.7
