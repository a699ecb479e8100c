"""Wordings. Each list is (training, held-out): held-out wordings are used only in evaluation."""

from __future__ import annotations

# relation: kind of subject, kind of value, facts (last one held out), questions (last one held out),
# answer.
# In attribute relations {a} is a random attribute noun.
RELATIONS: list[tuple[str, str, list[str], list[str], str]] = [
    ("any", "any",
     ["The {a} of {s} is {v}.", "{s} has the {a} {v}.", "For {s}, the {a} is {v}.", "{v} is the {a} of {s}.",
      "The {a} for {s} was set to {v}.", "{s}: {a} {v}.", "As {a} of {s} we list {v}.", "{s} - {a}: {v}",
      "We know that {s} has {v} as its {a}."],
     ["What is the {a} of {s}?", "Which {a} does {s} have?", "Tell me the {a} of {s}.",
      "{s}: what is the {a}?",
      "I need the {a} of {s}.", "What {a} is given for {s}?", "Do you know the {a} of {s}?"],
     "The {a} of {s} is {v}."),
    ("person", "any",
     ["{s}'s {a} is {v}.", "The {a} that {s} chose is {v}.", "{s} named {v} as the {a}.",
      "{v} is what {s} gave as the {a}."],
     ["What is {s}'s {a}?", "Which {a} did {s} choose?", "What did {s} name as the {a}?"],
     "The {a} of {s} is {v}."),
    ("person", "place",
     ["{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a flat in {v}.",
      "In {v} you will find the home of {s}."],
     ["Where does {s} live?", "In which city does {s} live?", "Which city is the home of {s}?"],
      "{s} lives in {v}."),
    ("person", "place",
     ["{s} works in {v}.", "The office of {s} is in {v}.", "{s} has a job in {v}.",
      "You will find the office of {s} in {v}."],
     ["Where does {s} work?", "In which city does {s} work?", "Which city has the office of {s}?"],
     "{s} works in {v}."),
    ("person", "thing",
     ["{s} bought {v}.", "{s} paid for {v}.", "It was {s} who bought {v}.", "{v} was bought by {s}."],
     ["What did {s} buy?", "Which thing did {s} buy?", "What was bought by {s}?"], "{s} bought {v}."),
    ("person", "thing",
     ["{s} likes {v}.", "{s} is fond of {v}.", "{v} is liked by {s}.", "What {s} likes is {v}."],
     ["What does {s} like?", "Which thing does {s} like?", "What is {s} fond of?"], "{s} likes {v}."),
    ("person", "person",
     ["{s} met {v}.", "{s} had a meeting with {v}.", "{s} had lunch with {v}.", "The one {s} met was {v}."],
     ["Who did {s} meet?", "Whom did {s} meet?", "With whom did {s} have a meeting?"], "{s} met {v}."),
    ("thing", "person",
     ["{s} belongs to {v}.", "{v} owns {s}.", "{s} was sold to {v}.", "The owner of {s} is {v}."],
     ["Who owns {s}?", "To whom does {s} belong?", "Who is the owner of {s}?"], "{s} belongs to {v}."),
    ("thing", "place",
     ["{s} is kept in {v}.", "{s} can be found in {v}.", "We keep {s} in {v}.", "In {v} we keep {s}."],
     ["Where is {s}?", "Where is {s} kept?", "Where can I find {s}?"], "{s} is kept in {v}."),
    ("thing", "quantity",
     ["{s} must be returned within {v}.", "You have {v} to return {s}.", "You may return {s} within {v}.",
      "Within {v}, {s} can be returned."],
     ["How many {u} do I have to return {s}?", "How many {u} are there to return {s}?",
      "Within how many {u} can I return {s}?"], "You have {v} to return {s}."),
    ("thing", "quantity",
     ["{s} costs {v}.", "The price of {s} is {v}.", "You pay {v} for {s}.", "For {s} we charge {v}."],
     ["How many {u} does {s} cost?", "What does {s} cost?", "How much is {s}?"], "{s} costs {v}."),
    ("topic", "quantity",
     ["{s} takes {v}.", "The time for {s} is {v}.", "Please allow {v} for {s}.", "We need {v} for {s}."],
     ["How many {u} does {s} take?", "How long does {s} take?", "How many {u} are needed for {s}?"],
     "{s} takes {v}."),
    ("topic", "quantity",
     ["The limit for {s} is {v}.", "{s} is limited to {v}.", "There is a limit of {v} for {s}.",
      "For {s} a limit of {v} applies."],
     ["What is the limit for {s}?", "How many {u} are allowed for {s}?", "Which limit applies to {s}?"],
     "The limit for {s} is {v}."),
    ("topic", "person",
     ["Questions about {s} go to {v}.", "{v} is in charge of {s}.", "Please ask {v} about {s}.",
      "For {s}, {v} is the one to ask."],
     ["Who is in charge of {s}?", "Whom do I ask about {s}?", "Who takes questions about {s}?"],
     "{v} is in charge of {s}."),
]

READ_HOW = (
    ["Answer the question.", "Answer the question about the text.", "Use the text to answer the question.",
     "Read the text and answer.", "Answer from the passages only.", "Use only the passages below.",
     "Please answer the question with the help of the passages.", "Read this carefully and reply.",
     "Find the answer in the text.", "Here are some facts.", "Answer in one sentence.", "", "", "",
     "Answer the customer's question from the policy.", "Reply to the question using the notes.",
     "Given the passages, answer the question in a sentence.",
     "Look at the facts, then answer the question."],
    ["Use the notes to reply to the question.", "Read the passages, then answer.",
     "Answer with the help of the text below."],
)
BLOCK = (["Passage", "Text", "Context", "Document", "Note", "Fact", "Policy", "Source", "Entry"], ["Passage",
          "Text"])
QUESTION = (["Question", "Q", "Query", "Question", "Question", "Customer", "User question", ""], ["Question",
             ""])

FILLERS = (
    ["Please read this with care.", "This was checked last week.", "Ask us if anything is not clear.",
     "The list is kept up to date.", "More will follow soon.", "Thank you for your interest.",
     "This rule is new.", "The old list is no longer used.", "We are open every day.",
     "Nothing else has changed.", "This applies to all customers.", "See also the other pages.",
     "The team made this note.", "It was written in spring.", "We hope that this helps."],
    ["We are here to help.", "This note is kept up to date."],
)

SYSTEM = (
    ["You are a helpful assistant.", "You answer questions.", "You are a careful reader.",
     "Reply in short sentences.",
     "You help customers.", "You read texts and answer questions about them.", "Be brief and correct.",
     "You are a support assistant. Use only what is given.", "You sort messages.", "Follow the instruction."],
    ["You are a careful assistant.", "Be helpful and brief."],
)

REPEAT = (
    ["Repeat: {t}", "Repeat this text: {t}", "Say this again: {t}", "Copy the text.\n{t}",
     "Text: {t}\nRepeat the text.",
     "Write the following once more: {t}", "Repeat exactly.\n\n{t}", "Please copy this: {t}",
     "{t}\n\nRepeat it.",
     "Echo: {t}"],
    ["Please repeat this text: {t}", "Copy exactly: {t}"],
)

LABEL_HOW = (
    ["Choose the label that fits the message.", "Which label fits the message?", "Sort the message.",
     "Pick one of the labels.", "Classify the message.", "Which of the labels is right?",
     "Read the message and choose a label.", "Decide which label the message gets.",
     "Assign one label to the message.", "What is this message about?", "Choose the best category."],
    ["Read the message and pick the label that fits.", "Which label does the message get?"],
)
LABEL_BARE = (
    ["Reply with the label only.", "Answer with one label.", "Give only the label.",
     "Only the label, nothing else.",
     "Write just the label."],
    ["Write only the label."],
)
# {c} is the cue.
MESSAGES = (
    ["I have a question about {c}.", "There is a problem with the {c}.", "Please help me with {c}.",
     "My last message was about {c}.", "Hello, this is about {c}.", "The {c} is what I write about.",
     "I do not understand the {c}.", "Can you look at the {c} for me?", "It is the {c} again.",
     "I am writing because of {c}.", "Could someone call me about {c}?", "{c} is my problem.",
     "I was told to ask you about {c}.", "Since Monday the {c} does not work.",
     "We talked about {c} before."],
    ["Could you help me, it is about {c}.", "I write to ask about {c}.", "The problem is the {c}."],
)

MAIL_OPEN = (["Hello,", "Dear team,", "Hi,", "Good morning,", "To whom it may concern,", "Hello support,",
              ""],
             ["Dear support team,", "Hi,"])
MAIL_NAME = (["My name is {v}.", "I am {v}.", "This is {v}.", "Name: {v}"], ["{v} is my name."])
MAIL_ORDER = (["My order number is {v}.", "The order number is {v}.", "I placed order {v}.",
               "Order number: {v}",
               "It is about order {v}.", "Order {v} has not come.", "See order #{v}."],
              ["This concerns order number {v}.", "I wait for order {v}."])
MAIL_PRODUCT = (["I bought the {v}.", "The {v} does not work.", "The {v} arrived broken.", "Product: {v}",
                 "I want to return the {v}.", "There is a problem with the {v}.", "Your {v} is too small."],
                ["My {v} does not work.", "I have a problem with my {v}."])
MAIL_CITY = (["I live in {v}.", "Please send it to {v}.", "City: {v}", "I am writing from {v}."],
             ["My home is in {v}."])
MAIL_PHONE = (["Call me at {v}.", "My phone number is {v}.", "Phone: {v}", "You can reach me at {v}."],
              ["Please call me at {v}."])
MAIL_CLOSE = (["Thank you.", "Kind regards", "Please help me soon.", "What can I do?", "Best wishes",
               "I am waiting.", ""],
              ["Thank you for your help.", "Kind regards"])
MAIL_ASK = (["What is the {f}?", "Which {f} is given?", "Give me the {f}.", "Find the {f} in the email.",
             "Extract the {f}.", "What {f} does the writer give?", "Read the email and tell me the {f}."],
            ["Tell me the {f} in the email.", "Which {f} does the writer give?"])
MAIL_BLOCK = (["Email", "Message", "Mail", "Ticket", "Text", "Customer message"], ["Email", "Message"])
JSON_HOW = (["Reply as JSON with the keys {k}.", "Give JSON with these keys: {k}.", "Extract {k} as JSON.",
             "Write a JSON object with {k}."], ["Reply with a JSON object with the keys {k}."])

SHOT_HOW = (
    ["Continue the pattern.", "Follow the examples.", "Here are some examples.",
     "Do the same as in the examples.",
     "Look at the examples and give the last output.", "", "", "Complete the last line.",
     "Work out the rule.",
     "Give the output for the last input.", "Label each message like the examples.",
     "Answer in the same format as the examples."],
    ["Look at the examples and do the same.", "Follow the pattern of the examples."],
)
SHOT_IO = ([("Input", "Output"), ("Input", "Output"), ("Q", "A"), ("Text", "Label"), ("Message", "Label"),
            ("Email", "JSON"), ("Email", "Answer"), ("Question", "Answer"), ("x", "y"), ("Example",
             "Result")],
           [("Input", "Output"), ("Message", "Output")])

# Small words for loose wordings: random strings of them around names stand for sentences never seen.
SMALL = str.split("""
    the a an of for to in on at by with from about into over under after before since until is was has
    had are were be been will can may must should would could do does did not no yes it its this that
    these those there here we you they he she our your their my and or but if when where which who what
    how many much any all some each both only also just now then today again please note as so than very
    more most per within out up down back off get gets got make made take taken give given put set use
    used keep say said tell ask know need want like find see look come go send let one two first last
    new
""")

FIELDS = str.split("""
    name city order product phone colour price code date status team label owner type size room item topic
    priority category number email country version model level
""")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return [t for part in value for t in _texts(part)] if isinstance(value, (list, tuple)) else []


def all_texts() -> list[str]:
    """Every wording of this module, held-out ones included: their words may not be held out."""
    return [t for name, value in list(globals().items()) if name.isupper() for t in _texts(value)]
