"""Answers bAbI questions from their text by rules, knowing nothing of the simulator.

`solve(task, facts, question)` takes the facts before the question as pairs (line id, sentence) and
returns the answer as written in the files and the supporting ids, None where several are right.
"""

import re

GO = r"(?:went to|journeyed to|travelled to|went back to|moved to)"
GET = r"(?:got|grabbed|picked up|took)"
DROP = r"(?:left|discarded|dropped|put down)"
GIVE = r"(?:gave|handed|passed)"
STEPS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
SIDES = {
    "above": (0, 1),
    "below": (0, -1),
    "to the right of": (1, 0),
    "to the left of": (-1, 0),
}
TIMES = ("yesterday", "this morning", "this afternoon", "this evening")
NUMBERS = ("none", "one", "two", "three")
SINGULAR = {"mice": "mouse", "sheep": "sheep", "wolves": "wolf", "cats": "cat"}


def events(facts):
    for line, text in facts:
        if match := re.fullmatch(rf"(\w+) {GO} the (\w+)\.", text):
            yield line, "go", match[1], match[2], None
        elif match := re.fullmatch(rf"(\w+) {GET} the (\w+)(?: there)?\.", text):
            yield line, "get", match[1], match[2], None
        elif match := re.fullmatch(rf"(\w+) {DROP} the (\w+)(?: there)?\.", text):
            yield line, "drop", match[1], match[2], None
        elif match := re.fullmatch(rf"(\w+) {GIVE} the (\w+) to (\w+)\.", text):
            yield line, "give", match[1], match[2], match[3]
        else:
            raise AssertionError(f"no event: {text}")


def where_is_actor(facts, question):
    actor = re.fullmatch(r"Where is (\w+)\?", question)[1]
    line, place = [(e[0], e[3]) for e in events(facts) if e[1] == "go" and e[2] == actor][-1]
    return place, (line,)


def where_is_object(facts, question):
    thing = re.fullmatch(r"Where is the (\w+)\?", question)[1]
    told = list(events(facts))
    line, kind, actor = [e[:3] for e in told if e[1] in ("get", "drop") and e[3] == thing][-1]
    moves = [e for e in told if e[1] == "go" and e[2] == actor]
    if kind == "drop":
        moves = [e for e in moves if e[0] < line]
    return moves[-1][3], (line, moves[-1][0])


def where_was_object(facts, question):
    thing, place = re.fullmatch(r"Where was the (\w+) before the (\w+)\?", question).groups()
    told = list(events(facts))
    handlings = [e for e in told if e[1] in ("get", "drop") and e[3] == thing]
    got = [e for e in handlings if e[1] == "get"][-1]
    last = handlings[-1]
    end = last[0] if last[1] == "drop" else 10**6
    moves = [e for e in told if e[1] == "go" and e[2] == got[2] and got[0] < e[0] < end]
    index = max(i for i, e in enumerate(moves) if e[3] == place)
    return moves[index - 1][3], (last[0], moves[index][0], moves[index - 1][0])


def beside(facts, question):
    linked = {}
    for line, text in facts:
        first, side, second = re.fullmatch(r"The (\w+) is (\w+) of the (\w+)\.", text).groups()
        x, y = STEPS[side]
        linked[second, (x, y)] = first, line
        linked[first, (-x, -y)] = second, line
    if match := re.fullmatch(r"What is (\w+) of the (\w+)\?", question):
        key = match[2], STEPS[match[1]]
    else:
        match = re.fullmatch(r"What is the (\w+) (\w+) of\?", question)
        key = match[1], tuple(-step for step in STEPS[match[2]])
    answer, line = linked[key]
    return answer, (line,)


def gift(facts, question):
    gifts = [e for e in events(facts) if e[1] == "give"][::-1]
    patterns = {
        r"What did (?P<giver>\w+) give to (?P<receiver>\w+)\?": "thing",
        r"Who gave the (?P<thing>\w+) to (?P<receiver>\w+)\?": "giver",
        r"Who gave the (?P<thing>\w+)\?": "giver",
        r"Who did (?P<giver>\w+) give the (?P<thing>\w+) to\?": "receiver",
        r"Who received the (?P<thing>\w+)\?": "receiver",
    }
    pattern = next(pattern for pattern in patterns if re.fullmatch(pattern, question))
    told = re.fullmatch(pattern, question).groupdict()
    for line, _, giver, thing, receiver in gifts:
        event = {"giver": giver, "thing": thing, "receiver": receiver}
        if all(event[key] == value for key, value in told.items()):
            return event[patterns[pattern]], (line,)
    raise AssertionError(question)


def is_at(facts, question):
    actor, place = re.fullmatch(r"Is (\w+) in the (\w+)\?", question).groups()
    line, told = [(e[0], e[3]) for e in events(facts) if e[1] == "go" and e[2] == actor][-1]
    return "yes" if told == place else "no", (line,)


def holdings(facts, actor):
    held, lines = {}, []
    for line, kind, who, thing, receiver in events(facts):
        if kind == "go" or actor not in (who, receiver):
            continue
        lines.append((line, thing))
        held[thing] = kind == "get" or receiver == actor
    return held, lines


def how_many(facts, question):
    actor = re.fullmatch(r"How many objects is (\w+) carrying\?", question)[1]
    held, lines = holdings(facts, actor)
    return NUMBERS[sum(held.values())], tuple(line for line, _ in lines)


def what_carrying(facts, question):
    actor = re.fullmatch(r"What is (\w+) carrying\?", question)[1]
    held, lines = holdings(facts, actor)
    answer = ",".join(thing for thing, held_now in held.items() if held_now) or "nothing"
    return answer, tuple(line for thing in held for line, other in lines if other == thing)


def told_place(facts, question):
    actor, place = re.fullmatch(r"Is (\w+) in the (\w+)\?", question).groups()
    line, text = next(fact for fact in facts[::-1] if fact[1].startswith(actor + " "))
    if match := re.search(r"is (?:no longer|not) in the (\w+)\.", text):
        return "no" if match[1] == place else "maybe", (line,)
    if match := re.search(r"is either in the (\w+) or the (\w+)\.", text):
        return "maybe" if place in match.groups() else "no", (line,)
    return "yes" if text.endswith(f" the {place}.") else "no", (line,)


def where_is_one_of(facts, question):
    actor = re.fullmatch(r"Where is (\w+)\?", question)[1]
    where, group, previous = {}, [], 0
    for line, text in facts:
        names, place = re.fullmatch(rf"(.+) {GO} the (\w+)\.", text).groups()
        if pronoun := re.search(r" (he|she|they)$", names):
            assert (pronoun[1] == "they") == (len(group) == 2)
            if pronoun[1] != "they":
                assert (pronoun[1] == "he") == (group[0] in ("John", "Daniel"))
            lines = (previous, line)
        else:
            group, lines = names.split(" and "), (line,)
        for name in group:
            where[name] = place, lines
        previous = line
    return where[actor]


def where_earlier(facts, question):
    actor, place = re.fullmatch(r"Where was (\w+) before the (\w+)\?", question).groups()
    visits = {}
    for line, text in facts:
        time = next(i for i, time in enumerate(TIMES) if time in text.lower())
        who, where = re.search(rf"([A-Z]\w+) {GO} the (\w+)", text).groups()
        if who == actor:
            assert time not in visits
            visits[time] = where, line
    time = max(t for t, (where, _) in visits.items() if where == place)
    return visits[time - 1][0], (visits[time][1], visits[time - 1][1])


def deduce(facts, question):
    name = re.fullmatch(r"What is (\w+) afraid of\?", question)[1].capitalize()
    fears, kinds = {}, {}
    for line, text in facts:
        if match := re.fullmatch(r"(\w+) are afraid of (\w+)\.", text):
            fears[SINGULAR[match[1].lower()]] = SINGULAR[match[2]], line
        else:
            match = re.fullmatch(r"(\w+) is a (\w+)\.", text)
            kinds[match[1]] = match[2], line
    kind, line = kinds[name]
    return fears[kind][0], (line, fears[kind][1])


def induce(facts, question):
    name = re.fullmatch(r"What color is (\w+)\?", question)[1]
    kinds, colors = {}, {}
    for line, text in facts:
        if match := re.fullmatch(r"(\w+) is a (\w+)\.", text):
            kinds[match[1]] = match[2], line
        else:
            match = re.fullmatch(r"(\w+) is (\w+)\.", text)
            colors[match[1]] = match[2], line
    alike = [other for other in colors if kinds[other][0] == kinds[name][0]]
    peer = max(alike, key=lambda other: kinds[other][1])
    return colors[peer][0], (kinds[name][1], kinds[peer][1], colors[peer][1])


def relative_position(facts, question):
    sides = "|".join(SIDES)
    linked = {}
    for line, text in facts:
        match = re.fullmatch(rf"The ([a-z ]+?) is ({sides}) the ([a-z ]+)\.", text)
        x, y = SIDES[match[2]]
        linked.setdefault(match[3], {})[match[1]] = (x, y), line
        linked.setdefault(match[1], {})[match[3]] = (-x, -y), line
    first, side, second = re.fullmatch(
        rf"Is the ([a-z ]+?) ({sides}) the ([a-z ]+)\?", question
    ).groups()
    paths = {second: ((0, 0), ())}
    while first not in paths:
        for node, ((x, y), lines) in list(paths.items()):
            for other, ((dx, dy), line) in linked[node].items():
                paths.setdefault(other, ((x + dx, y + dy), (line, *lines)))
    (x, y), lines = paths[first]
    dx, dy = SIDES[side]
    return "yes" if x * dx + y * dy > 0 else "no", lines


def compare_sizes(facts, question):
    larger = set()
    for _, text in facts:
        if match := re.fullmatch(r"The ([a-z ]+?) fits inside the ([a-z ]+)\.", text):
            larger.add((match[2], match[1]))
        else:
            larger.add(
                re.fullmatch(r"The ([a-z ]+?) is bigger than the ([a-z ]+)\.", text).groups()
            )
    while True:
        joined = {(a, d) for a, b in larger for c, d in larger if b == c} | larger
        if joined == larger:
            break
        larger = joined
    assert not any((b, a) in larger for a, b in larger)
    if match := re.fullmatch(r"Does the ([a-z ]+?) fit in the ([a-z ]+)\?", question):
        inner, outer = match.groups()
    else:
        outer, inner = re.fullmatch(
            r"Is the ([a-z ]+?) bigger than the ([a-z ]+)\?", question
        ).groups()
    assert (outer, inner) in larger or (inner, outer) in larger
    return "yes" if (outer, inner) in larger else "no", None


def find_path(facts, question):
    start, goal = re.fullmatch(r"How do you go from the (\w+) to the (\w+)\?", question).groups()
    linked = {}
    for line, text in facts:
        first, side, second = re.fullmatch(r"The (\w+) is (\w+) of the (\w+)\.", text).groups()
        back = {"n": "s", "s": "n", "e": "w", "w": "e"}[side[0]]
        linked.setdefault(second, {})[first] = side[0], line
        linked.setdefault(first, {})[second] = back, line
    paths = {start: ((), ())}
    while goal not in paths:
        for node, (way, lines) in list(paths.items()):
            for other, (side, line) in linked[node].items():
                paths.setdefault(other, ((*way, side), (*lines, line)))
    return ",".join(paths[goal][0]), paths[goal][1]


def motive(facts, question):
    needs = {}
    for line, text in facts:
        if match := re.fullmatch(r"(\w+) is (thirsty|hungry|tired|bored)\.", text):
            needs[match[1].lower()] = match[2], line
    places = {"thirsty": "kitchen", "hungry": "kitchen", "tired": "bedroom", "bored": "garden"}
    if match := re.fullmatch(r"Where will (\w+) go\?", question):
        need, line = needs[match[1]]
        return places[need], (line,)
    need, line = needs[re.fullmatch(r"Why did (\w+) (?:go to|get) the \w+\?", question)[1]]
    return need, (line,)


SOLVERS = {
    1: where_is_actor,
    2: where_is_object,
    3: where_was_object,
    4: beside,
    5: gift,
    6: is_at,
    7: how_many,
    8: what_carrying,
    9: told_place,
    10: told_place,
    11: where_is_one_of,
    12: where_is_one_of,
    13: where_is_one_of,
    14: where_earlier,
    15: deduce,
    16: induce,
    17: relative_position,
    18: compare_sizes,
    19: find_path,
    20: motive,
}


def read_stories(text):
    """Returns stories as lists of (line id, sentence) and (line id, question, answer, ids)."""
    stories = []
    for line in text.splitlines():
        number, rest = line.split(" ", 1)
        if number == "1":
            stories.append([])
        parts = rest.split("\t")
        if len(parts) == 1:
            stories[-1].append((int(number), rest))
        else:
            ids = tuple(int(word) for word in parts[2].split())
            stories[-1].append((int(number), parts[0].strip(), parts[1], ids))
    return stories


def agreement(task, stories):
    """Returns the number of questions, of right answers, and of right answers and facts."""
    questions = answers = both = 0
    for story in stories:
        facts = []
        for line in story:
            if len(line) == 2:
                facts.append(line)
                continue
            _, question, answer, ids = line
            found, supporting = SOLVERS[task](facts, question)
            questions += 1
            answers += found == answer
            both += found == answer and supporting in (None, ids)
    return questions, answers, both
