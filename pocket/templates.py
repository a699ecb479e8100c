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

# More training wordings, one entry for each relation above. Half of the facts name the value first, so that
# the order of subject and value does not decide; without them values before the subject were hardly read.
MORE: list[tuple[list[str], list[str]]] = [
    (["{v}, so reads the {a} of {s}.", "{v} was noted as {a} for {s}.", "With {v} as its {a}, {s} is listed.",
      "{v}: this is the {a} of {s}.", "They set {v} as {a} for {s}.", "It has {v} as {a}: {s}.",
      "{a} {v} for {s}.", "{s} is known to have the {a} {v}.", "Its {a} is {v}: {s}."],
     ["Do we know which {a} {s} has?", "Are you sure about the {a} of {s}?", "And the {a} of {s}?",
      "Could you tell me the {a} that {s} has?", "Did you find the {a} of {s}?", "You know the {a} for {s}?",
      "Have we got the {a} for {s}?", "Does {s} have a {a}?"]),
    (["{v} was chosen by {s} as the {a}.", "{v}, said {s} about the {a}.", "{v} as {a} is the wish of {s}.",
      "The {a} is {v}, said {s}.", "{v} is the {a} {s} uses.", "It is {v} that {s} took as {a}.",
      "With {v} as {a}, {s} is happy."],
     ["What {a} was chosen by {s}?", "What is the {a} of {s}?", "Which {a} is the one of {s}?",
      "As {a}, what did {s} choose?", "What did {s} give for the {a}?", "{s} has which {a}?",
      "What does {s} call the {a}?", "Which {a} was named by {s}?"]),
    (["{v} is where {s} lives.", "In {v} lives {s}.", "{v} is the home of {s}.", "In {v} there is a flat of {s}.",
      "{v} is now the city of {s}.", "From {v} comes {s}.", "We visit {s} at home in {v}.",
      "It is {v} where {s} has a home."],
     ["What city is home to {s}?", "Which city does {s} live in?", "What is the city where {s} lives?",
      "Where is the home of {s}?", "Where can I visit {s} at home?", "Which place is {s} from?",
      "In what city is the flat of {s}?", "Where has {s} a home?"]),
    (["{v} is where {s} works.", "In {v} works {s}.", "{v} has the office of {s}.", "In {v} there is a job of {s}.",
      "To {v} goes {s} for work.", "In {v} is the desk of {s}.", "We meet {s} at work in {v}.",
      "It is {v} where {s} has a job."],
     ["What city does {s} work in?", "Which city is the work place of {s}?", "Where is {s} at work?",
      "Which place does {s} work at?", "Where do I find the office of {s}?", "Where does {s} go to work?",
      "In what city is the job of {s}?", "Where has {s} an office?"]),
    (["{v} went to {s} for money.", "{v} is what {s} bought.", "For {v}, {s} paid a lot.", "{v} now is paid by {s}.",
      "It was {v} that {s} bought.", "{v} was sold to {s} in the shop.", "{v} was paid for by {s}.",
      "A buyer came, {s}, and took {v}."],
     ["What has {s} bought?", "What was it that {s} bought?", "On what did {s} spend money?",
      "What was paid for by {s}?", "For what did {s} pay?", "What was sold to {s}?", "What thing was bought, {s}?",
      "What is it that {s} ordered?"]),
    (["{v} is what {s} likes.", "{v} is loved by {s}.", "{v} pleases {s}.", "{v} is the favourite of {s}.",
      "It is {v} that {s} enjoys.", "To {s}, {v} is the best.", "{v} makes {s} happy.", "Give {v} to {s}, it pleases."],
     ["What is it that {s} likes?", "What is liked by {s}?", "What thing does {s} love?", "What makes {s} happy?",
      "Of what is {s} fond?", "What is the favourite of {s}?", "What is best for {s}?", "What is loved by {s}?"]),
    (["{v} was met by {s}.", "{v} is who {s} met.", "With {v} there was a lunch of {s}.", "{v} was seen by {s}.",
      "It was {v} that {s} met.", "To {v} talked {s}.", "{v} came to a meeting with {s}.", "{v} had a guest, {s}."],
     ["Who was met by {s}?", "Who is it that {s} met?", "Whom did {s} see?", "Who had lunch with {s}?",
      "With whom did {s} talk?", "Who came together with {s}?", "Whom has {s} met?", "Who was seen by {s}?"]),
    (["To {v} belongs {s}.", "{v} has {s}.", "{v} is the owner of {s}.", "{v} got {s}.", "With {v} you find {s}.",
      "It is {v} that has {s}.", "{v} keeps {s} at home.", "{s} is owned by {v}."],
     ["Who is it that owns {s}?", "By whom is {s} owned?", "Who got {s}?", "Whose property is {s}?",
      "Who keeps {s}?", "With whom is {s} now?", "To whom was {s} sold?", "Name who owns {s}."]),
    (["{v} is where {s} lies.", "In {v} lies {s}.", "{v} is the place of {s}.", "In {v} you see {s}.",
      "{v} holds {s}.", "To {v} they took {s}.", "It is {v} where we put {s}.", "Go to {v} for {s}."],
     ["Where do we keep {s}?", "Where does {s} lie?", "What is the place of {s}?", "Where could {s} be found?",
      "Which place has {s}?", "Where can one see {s}?", "Where do I get {s}?", "In what place do I find {s}?"]),
    (["{v} is the limit to return {s}.", "In {v} you have to send back {s}.", "{v} are left to return {s}.",
      "After {v}, {s} can not be returned.", "{v} is how long you may keep {s}.", "Up to {v} you can send back {s}.",
      "It is {v} to bring back {s}.", "Of {s} a return needs {v}."],
     ["How many {u} are left to return {s}?", "In how many {u} must {s} be returned?",
      "How many {u} until I must return {s}?", "For how many {u} can {s} be sent back?",
      "How long may I keep {s}?", "Up to how many {u} can {s} be returned?", "How long is a return of {s} possible?",
      "Can I return {s} and for how long?"]),
    (["{v} is the price of {s}.", "{v} is what {s} costs.", "For {v} you get {s}.", "{v} has to be paid for {s}.",
      "It takes {v} to buy {s}.", "At {v} we sell {s}.", "With {v} you can pay {s}.", "Of {s} the price is {v}."],
     ["How many {u} do you ask for {s}?", "How much does {s} cost?", "How much do you charge for {s}?",
      "How many {u} is {s}?", "At what price is {s} sold?", "What do I pay for {s}?", "What must be paid for {s}?",
      "How much for {s}?"]),
    (["{v} is the time {s} takes.", "{v} are planned for {s}.", "In {v} we finish {s}.", "{v} is needed for {s}.",
      "After {v}, {s} is done.", "For {s} they need {v}.", "With {v} you can do {s}.", "They allow {v} for {s}."],
     ["How many {u} until {s} is done?", "How many {u} do we need for {s}?", "How much time is needed for {s}?",
      "How many {u} does it take for {s}?", "What time is planned for {s}?", "In how many {u} is {s} done?",
      "How long until {s} is done?", "How many {u} must I allow for {s}?"]),
    (["{v} is the limit for {s}.", "Up to {v} are allowed for {s}.", "{v} at most for {s}.",
      "For {s} no more than {v}.",
      "{v} applies as limit to {s}.", "With {v} the limit for {s} is reached.", "It is {v} that limits {s}.",
      "For {s} the limit is {v}."],
     ["What limit is there for {s}?", "How many {u} is the limit for {s}?", "Up to how many {u} for {s}?",
      "What is the most for {s}?", "How many {u} does the rule allow for {s}?", "To how many {u} is {s} limited?",
      "Which limit is there for {s}?", "What limit does {s} have?"]),
    (["For {s} please call {v}.", "{v} takes care of {s}.", "{v} knows about {s}.", "For {s}, {v} is in charge.",
      "To {v} you can send questions about {s}.", "With {s}, {v} will help you.", "About {s} please talk to {v}.",
      "{v}: contact for {s}."],
     ["Who takes care of {s}?", "Who answers for {s}?", "Who knows about {s}?", "To whom do questions about {s} go?",
      "Whom should I call for {s}?", "Who will help me with {s}?", "Who is the one for {s}?",
      "Who can be asked about {s}?"]),
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
     "Echo: {t}", "Repeat what I say: {t}", "Please say: {t}", "Write this: {t}", "Copy this line: {t}",
     "Please write the same text: {t}", "Say exactly this: {t}", "Write the text once more.\n\n{t}",
     "Repeat after me: {t}", "Please echo the line.\n{t}", "Give me the same words back: {t}", "Copy: {t}",
     "Words: {t}\nSay them again.", "Here is a text: {t}\nCopy it.", "{t}\nSay that again, please.",
     "Please repeat: {t}", "Repeat the words exactly: {t}", "Type this again: {t}", "Once more, please: {t}"],
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

SHOT_IN = ["Input", "Text", "Message", "Email", "Question", "Example", "Record", "Case", "Line", "Given"]
SHOT_OUT = ["Output", "Label", "Answer", "Result", "Value", "Field", "Class", "Reply"]

# Composed wordings of the attribute relations; <x> is any entry of SLOTS["x"].
ATTRIBUTE_FACTS = [
    "<the> {a} <of> {s} <is> {v}.", "<the> {a} <of> {s} <is> {v}.", "{s} <has> {v} as <the> {a}.",
    "{s} <has> the {a} {v}.", "{v} <is> the {a} <of> {s}.", "{v} <serves> as {a} <of> {s}.",
    "<of> {s}, the {a} <is> {v}.", "<of> {s} <we> <give> {v} as <the> {a}.", "<we> <give> {v} as {a} <of> {s}.",
    "{v} <is> <given> as {a} <of> {s}.", "<we> <give> {v} for {s} as {a}.", "{v} <is> what {s} <has> as {a}.",
    "With {v} as <the> {a}, {s} <is> <given>.", "{v} <of> {s} as <the> {a}.",
    "<we> that the {a} <of> {s} <is> {v}.", "<we> that {v} <is> the {a} <of> {s}.", "{s}, {a}: {v}.",
    "{s} <is> <given> with {v} as {a}.", "With {s}, {v} <is> <the> {a}.", "{s} <is> {v} by {a}.",
    "<the> {a}: {v} (<of> {s}).", "{a} {v} <is> <given> <of> {s}.", "{v} <is> <the> {a} <of> {s}.",
    "If <we> look at {s}, the {a} <is> {v}.", "<the> {a} <is> {v} <of> {s}.", "{v}: {a} <of> {s}.",
]
ATTRIBUTE_ASKS = [
    "What <is> <the> {a} <of> {s}?", "Which {a} <is> <given> <of> {s}?", "<tell> <the> {a} <of> {s}.",
    "<tell> what the {a} <of> {s} <is>.", "<tell> which {a} {s} has.", "What {a} does {s} have?",
    "<of> {s}, what <is> the {a}?", "{s}: {a}?", "{s}, which {a}?", "Is there <the> {a} <of> {s}?",
    "Can you <say> <the> {a} <of> {s}?", "Could you <say> what {a} {s} has?", "What do <we> <give> as {a} <of> {s}?",
    "May I know <the> {a} <of> {s}?", "<the> {a} <of> {s} <is> what?", "With which {a} <is> {s} <given>?",
    "Does anyone know <the> {a} <of> {s}?", "I <want> <the> {a} <of> {s}.", "I <want> what {a} {s} has.",
    "Has {s} <the> {a}, and which?", "What should I write as {a} <of> {s}?",
]
SLOTS = {
    "the": ["the", "the", "the", "a", "its", "one", "this", "the only", "our", "their"],
    "of": ["of", "of", "of", "for", "for", "at", "with", "in", "about", "on"],
    "is": ["is", "is", "is", "was", "will be", "remains", "became", "is now", "is still", "has been", "reads",
           "is called", "should be", "must be"],
    "has": ["has", "has", "got", "uses", "shows", "gets", "keeps", "takes", "needs", "carries", "received",
            "found", "wants", "lists"],
    "serves": ["serves", "counts", "works", "acts", "stands", "is known", "is listed", "was chosen", "is used"],
    "we": ["we", "they", "you", "people", "the notes", "the list", "I", "the team", "all"],
    "give": ["list", "give", "use", "have", "note", "set", "found", "keep", "see", "write", "name", "hear",
             "believe", "remember"],
    "given": ["given", "listed", "noted", "set", "used", "shown", "written", "found", "named"],
    "tell": ["Tell me", "Say", "Name", "Give me", "Find", "Please say", "Look up", "Write", "Show me",
             "Please find", "Let me know", "State", "Please tell me"],
    "say": ["say", "name", "give", "find", "tell me", "look up", "show me"],
    "want": ["want", "need", "look for", "ask for", "want to know", "need to know", "wish to know"],
}

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


def held_out() -> list[str]:
    """Held-out wordings that are no training wording too."""
    facts_and_asks = [x for _, _, facts, asks, _ in RELATIONS for x in (facts[-1], asks[-1])]
    pairs = [v for n, v in globals().items() if n.isupper() and isinstance(v, tuple) and len(v) == 2]
    return facts_and_asks + [x for train, held in pairs for x in _texts(held) if x not in _texts(train)]


def all_texts() -> list[str]:
    """Every wording of this module, held-out ones included: their words may not be held out."""
    return [t for name, value in list(globals().items()) if name.isupper() for t in _texts(value)]
