"""Wordings. Each list is (training, held-out): held-out wordings are used only in evaluation."""

from __future__ import annotations

# relation: kind of subject, kind of value, facts (last one held out), questions (last one held out),
# answer.
# In attribute relations {a} is a random attribute noun.
RELATIONS: list[tuple[str, str, list[str], list[str], str]] = [
    ("any", "any",
     ["The {a} of {s} is {v}.", "{s} has the {a} {v}.", "For {s}, the {a} is {v}.",
      "{v} is the {a} of {s}.", "The {a} for {s} was set to {v}.", "{s}: {a} {v}.",
      "As {a} of {s} we list {v}.", "{s} - {a}: {v}", "{s} comes with the {a} {v}.",
      "The list gives {v} as {a} of {s}.", "{a} of {s}: {v}.", "{v} serves as {a} of {s}.",
      "There is one {a} for {s}: {v}.", "{s} got {v} as {a}.", "The new {a} of {s} will be {v}.",
      "When it comes to {s}, the {a} is {v}.", "We know that {s} has {v} as its {a}."],
     ["What is the {a} of {s}?", "Which {a} does {s} have?", "Tell me the {a} of {s}.",
      "{s}: what is the {a}?", "I need the {a} of {s}.", "What {a} is given for {s}?",
      "Give me the {a} of {s}.", "{a} of {s}?", "What's the {a} for {s}?", "Name the {a} of {s}.",
      "Which is the {a} of {s}?", "The {a} of {s}, please.", "Can you find the {a} of {s}?",
      "Say what the {a} of {s} is.", "What does the text give as {a} of {s}?",
      "About {s}: which {a} is it?", "I am looking for the {a} of {s}.", "Do you know the {a} of {s}?"],
     "The {a} of {s} is {v}."),
    ("person", "any",
     ["{s}'s {a} is {v}.", "The {a} that {s} chose is {v}.", "{s} named {v} as the {a}.",
      "{s} has {v} as {a}.", "{s} picked {v} as the {a}.", "{s} told us that the {a} is {v}.",
      "When asked for the {a}, {s} said {v}.", "{v} is what {s} gave as the {a}."],
     ["What is {s}'s {a}?", "Which {a} did {s} choose?", "What {a} does {s} have?", "Tell me {s}'s {a}.",
      "Which {a} did {s} pick?", "What did {s} say about the {a}?", "I need {s}'s {a}.",
      "What did {s} name as the {a}?"],
     "The {a} of {s} is {v}."),
    ("person", "place",
     ["{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a flat in {v}.",
      "{s} is at home in {v}.", "{s} moved to {v}.", "The address of {s} is in {v}.",
      "{s} rents a room in {v}.", "In {v} you will find the home of {s}."],
     ["Where does {s} live?", "In which city does {s} live?", "Where is {s} at home?",
      "What is the home city of {s}?", "Tell me where {s} lives.", "Where did {s} move to?",
      "{s} lives where?", "Which city is the home of {s}?"],
     "{s} lives in {v}."),
    ("person", "place",
     ["{s} works in {v}.", "The office of {s} is in {v}.", "{s} has a job in {v}.",
      "{s} goes to work in {v}.", "The work place of {s} is {v}.", "{s} has an office in {v}.",
      "Every day {s} drives to an office in {v}.", "You will find the office of {s} in {v}."],
     ["Where does {s} work?", "In which city does {s} work?", "Where is the office of {s}?",
      "What is the work place of {s}?", "Tell me where {s} works.", "Where does {s} have a job?",
      "{s} works where?", "Which city has the office of {s}?"],
     "{s} works in {v}."),
    ("person", "thing",
     ["{s} bought {v}.", "{s} paid for {v}.", "It was {s} who bought {v}.",
      "{s} ordered {v} and paid for it.", "{s} got {v} in the shop.", "Last week {s} bought {v}.",
      "{s} spent money on {v}.", "{v} was bought by {s}."],
     ["What did {s} buy?", "Which thing did {s} buy?", "Tell me what {s} bought.",
      "What did {s} pay for?", "What did {s} get in the shop?", "{s} bought what?",
      "What was bought by {s}?"],
     "{s} bought {v}."),
    ("person", "thing",
     ["{s} likes {v}.", "{s} is fond of {v}.", "{v} is liked by {s}.", "{s} loves {v}.",
      "{s} enjoys {v} a lot.", "Nothing pleases {s} more than {v}.", "For {s} the best thing is {v}.",
      "What {s} likes is {v}."],
     ["What does {s} like?", "Which thing does {s} like?", "Tell me what {s} likes.",
      "What does {s} enjoy?", "What pleases {s}?", "{s} likes what?", "What is {s} fond of?"],
     "{s} likes {v}."),
    ("person", "person",
     ["{s} met {v}.", "{s} had a meeting with {v}.", "{s} had lunch with {v}.",
      "{s} saw {v} at the station.", "{s} came together with {v}.", "{s} talked with {v} on Monday.",
      "There was a meeting of {s} with {v}.", "The one {s} met was {v}."],
     ["Who did {s} meet?", "Whom did {s} meet?", "Tell me who {s} met.",
      "Who was in the meeting with {s}?", "{s} met whom?", "Who talked with {s}?",
      "With whom did {s} have a meeting?"],
     "{s} met {v}."),
    ("thing", "person",
     ["{s} belongs to {v}.", "{v} owns {s}.", "{s} was sold to {v}.", "{s} is the property of {v}.",
      "{v} bought {s}.", "{v} is the one who has {s}.", "{s} now is with {v}.",
      "The owner of {s} is {v}."],
     ["Who owns {s}?", "To whom does {s} belong?", "Tell me who owns {s}.", "Who has {s}?",
      "Whose is {s}?", "Who bought {s}?", "Who is the owner of {s}?"],
     "{s} belongs to {v}."),
    ("thing", "place",
     ["{s} is kept in {v}.", "{s} can be found in {v}.", "We keep {s} in {v}.", "{s} lies in {v}.",
      "You will see {s} in {v}.", "{s} was put in {v}.", "Look for {s} in {v}.", "In {v} we keep {s}."],
     ["Where is {s}?", "Where is {s} kept?", "Tell me where {s} is.", "In which place is {s}?",
      "Where was {s} put?", "Where should I look for {s}?", "Where can I find {s}?"],
     "{s} is kept in {v}."),
    ("thing", "quantity",
     ["{s} must be returned within {v}.", "You have {v} to return {s}.",
      "You may return {s} within {v}.", "Please send {s} back within {v}.",
      "The time to return {s} is {v}.", "{s} can be sent back for {v}.",
      "A return of {s} is possible for {v}.", "{v} is the time to return {s}.",
      "Within {v}, {s} can be returned."],
     ["How many {u} do I have to return {s}?", "How many {u} are there to return {s}?",
      "How long can I return {s}?", "How many {u} may I keep {s} before a return?",
      "What is the time to return {s}?", "When must {s} be sent back?",
      "I want to return {s}. How many {u} are left?", "Within how many {u} can I return {s}?"],
     "You have {v} to return {s}."),
    ("thing", "quantity",
     ["{s} costs {v}.", "The price of {s} is {v}.", "You pay {v} for {s}.", "{s} sells for {v}.",
      "We ask {v} for {s}.", "Get {s} for only {v}.", "{v} buys you {s}.", "For {s} we charge {v}."],
     ["How many {u} does {s} cost?", "What does {s} cost?", "How much must I pay for {s}?",
      "What is the price of {s}?", "Tell me the price of {s}.", "How many {u} for {s}?",
      "How much is {s}?"],
     "{s} costs {v}."),
    ("topic", "quantity",
     ["{s} takes {v}.", "The time for {s} is {v}.", "Please allow {v} for {s}.", "{s} needs {v}.",
      "{s} will be done within {v}.", "It takes {v} to finish {s}.", "Plan {v} for {s}.",
      "We need {v} for {s}."],
     ["How many {u} does {s} take?", "How long does {s} take?", "How many {u} should I plan for {s}?",
      "What time does {s} need?", "When will {s} be done?", "How long must I wait for {s}?",
      "Tell me how long {s} takes.", "How many {u} are needed for {s}?"],
     "{s} takes {v}."),
    ("topic", "quantity",
     ["The limit for {s} is {v}.", "{s} is limited to {v}.", "There is a limit of {v} for {s}.",
      "At most {v} are possible for {s}.", "{s} must not be more than {v}.",
      "The rule for {s} says {v}.", "No more than {v} for {s}.", "For {s} a limit of {v} applies."],
     ["What is the limit for {s}?", "How many {u} are allowed for {s}?",
      "How many {u} are possible for {s}?", "What does the rule say about {s}?",
      "Is there a limit for {s}?", "How many {u} at most for {s}?", "Which limit applies to {s}?"],
     "The limit for {s} is {v}."),
    ("topic", "person",
     ["Questions about {s} go to {v}.", "{v} is in charge of {s}.", "Please ask {v} about {s}.",
      "{v} looks after {s}.", "{s} is the job of {v}.", "Call {v} if it is about {s}.",
      "The contact for {s} is {v}.", "For {s}, {v} is the one to ask."],
     ["Who is in charge of {s}?", "Whom do I ask about {s}?", "Who looks after {s}?",
      "Who is the contact for {s}?", "Tell me whom to call about {s}.", "Whose job is {s}?",
      "Who can help with {s}?", "Who takes questions about {s}?"],
     "{v} is in charge of {s}."),
]

READ_HOW = (
    ["Answer the question.", "Answer the question about the text.", "Use the text to answer the question.",
     "Read the text and answer.", "Answer from the passages only.", "Use only the passages below.",
     "Please answer the question with the help of the passages.", "Read this carefully and reply.",
     "Find the answer in the text.", "Here are some facts.", "Answer in one sentence.", "", "", "",
     "Answer the customer's question from the policy.", "Reply to the question using the notes.",
     "Given the passages, answer the question in a sentence.",
     "Look at the facts, then answer the question.", "What do the passages say?",
     "Please reply in a full sentence.",
     "You get some passages and a question.", "Check the text and give the answer.",
     "Read first, then reply.",
     "The answer is in the text.", "Only one of the passages has the answer.", "Reply from the list.",
     "A customer asks something. Look it up in the policy.", "Say what the source says.",
     "Answer briefly and only from what is given.", "Some notes come first, then a question about them."],
    ["Use the notes to reply to the question.", "Read the passages, then answer.",
     "Answer with the help of the text below."],
)
BLOCK = (["Passage", "Text", "Context", "Document", "Note", "Fact", "Policy", "Source", "Entry"], ["Passage",
          "Text"])
QUESTION = (["Question", "Q", "Query", "Question", "Question", "Customer", "User question", ""], ["Question",
             ""])

# Put before a question or a fact.
ASK_FIRST = ["Please tell me:", "Hello,", "Hi,", "One question:", "I would like to know:",
             "Sorry to ask again:",
             "Quick one:", "Could you help?", "My question is this:", "Now tell me:", "Good morning,", "And:"]
FACT_FIRST = ["As of today,", "According to the list,", "Note that", "In short:", "As a rule,", "By the way,",
              "At the moment", "New:", "Again,", "From Monday on,", "It is true that", "They say that"]

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
     "What about the {c}?", "My {c} makes trouble.", "I want to talk about {c}.",
     "Who can tell me more about {c}?", "Nothing but trouble with the {c}!", "Is there any news on {c}?",
     "I have been waiting for {c} since last week.", "Something is wrong with my {c}.",
     "We need {c} by Monday.",
     "Thanks, but the {c} is still not right.", "Can I get some help with the {c}, please?",
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
             "Extract the {f}.", "{f}?", "Say which {f} you see.", "The {f}, please.", "Look for the {f}.",
             "I need the {f} of this email.", "What does the email say about the {f}?",
             "What {f} does the writer give?", "Read the email and tell me the {f}."],
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
