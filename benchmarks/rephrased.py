"""Requests of real data in our own words, in several styles: terse, formal, chatty, a statement for a question, with
mistakes, another view. `SEEN` served to choose the rule of data/checks/leakage.py; `HELD`, every second one of each
style, was not looked at before the rule stood.
"""

from __future__ import annotations

_FIRST = {
    2551: "A gym membership payment with my one-time virtual card was turned down, why?",
    1046: "I paid in cash but my balance does not show it, what can I do?",
    3038: "Which steps does the identity verification involve?",
    1468: "Which cash machines may I use?",
    2670: "Adding money through the app is not possible for me",
    2171: "Sending money to a payee does not work for me.",
    118: "at what moment is the exchange rate fixed",
    1907: "I want my account closed.",
    1020: "Where has my top-up gone?",
    212: "The cash I took from the machine still shows as pending",
    463: "A thief has my card, how do I block it?",
    1522: "I forgot my passcode, how can I get it back?",
    1921: "The cash machine kept my card, how do I get it again?",
    1009: "Why was the money that I topped up sent back?",
    2227: "Why did you take a fee for sending money?",
    417: "Can the app change foreign money that I receive?",
    53: "Which way can I link a card with the application?",
    1671: "My mobile was taken by a thief.",
    1144: "how do i update my personal data",
    745: "Do you limit how much I can top up?",
    653: "My top-up from over three hours ago is still pending, could you check it?",
    294: "May I choose the day on which it arrives?",
    568: "Paying contactless does not work for me.",
    2529: "My one-time virtual card refuses to work",
    1822: "There is money on my account, so why is my debit card refused?",
}
_TERSE = {
    54: "new card, linking possible?",
    96: "source of your currency rates",
    311: "new card arrival date?",
    488: "minimum age?",
    626: "SWIFT supported?",
    677: "top-up completion time",
    1311: "Visa, or is it Mastercard?",
    1682: "money back for a product",
    2864: "card activation, please",
    2140: "new PIN at whichever ATM?",
}
_FORMAL = {
    111: "Would you kindly explain by which method the rates for currency conversion are set?",
    337: "I should like to understand the reason behind the restrictions on automatic top-ups.",
    518: "At what age, at the earliest, may a person become the holder of an account?",
    1174: "For what reason am I being asked to prove who I am?",
    1320: "Please describe the procedure for adding funds by means of a debit or credit card.",
    1387: "What is the maximum number of single-use virtual cards that one customer may hold?",
    1703: "It would be kind of you to return the money that I paid for an article.",
    2399: "Could you clarify why a confirmation of my top-up is required at all?",
    2626: "May I additionally obtain a virtual card that can be thrown away after use?",
    2851: "I would be obliged if you told me how a card is made active.",
}
_CHATTY = {
    232: "hey so i was at the machine trying to get some cash out and nothing came, and now it says the thing is "
    "pending?? what is happening",
    701: "oh no, i think i messed up when sending somebody money, any way to put it right?",
    788: "So I asked the machine for 100 and it handed me only 80, what the heck",
    854: "I sent the payment ages ago, it says done on my side, my mate still has nothing",
    863: "My sister went to collect what I sent her and for whatever reason she just can't get it",
    1063: "paid in a cheque and some notes at the counter, checked the app, same old balance, how come?",
    1076: "This morning I put notes into the account and it is still nowhere to be seen",
    1674: "Some guy nicked my phone, should I be doing anything now?",
    1962: "We ate out last night and the restaurant shows up two times on my statement, what's that about?",
    2578: "when I got my money out abroad you used a conversion that was simply not right",
}
_STATEMENT = {
    145: "This payment was converted at a rate that looks wrong to me.",
    347: "I want money to be put on it by itself every so often.",
    383: "The card does not function any more.",
    420: "I need to know how one changes money most favourably.",
    835: "I do not understand the charge that I see on my account.",
    967: "I want to know the shops that accept it for payment.",
    1002: "I need to find out whether the money that I loaded was sent back.",
    1107: "My statement lists a payment that I never approved.",
    1262: "They have not given me the secret number for my card so far.",
    1766: "The money that you owe me for the return has not come in so far.",
    2034: "I do not know the origin of the money on my account.",
    2914: "You took a charge from me for getting notes out.",
}
_MISTAKES = {
    391: "my crad doesnt wrok",
    827: "got chargd a fee for paing by card",
    908: "wich ways of paying do i have",
    982: "is my card acepted evrywhere",
    1050: "put cash in my acount, dosnt show",
    1354: "whos alowed to put money on my acounts",
    1857: "how lnog is a transfer pendign",
    2368: "y do i hav to verify the top up",
    2593: "exchang rate wrong wen i took cash out",
    2664: "culd u look why my topup didnt work",
    2984: "dos apple pay cost alot",
}
_OTHER_VIEW = {
    427: "Where are pounds exchanged?",
    1244: "Somebody tell me the place where my PIN is shown, I looked all over.",
    1359: "Could people I know put money into my account for me?",
    1701: "I have just bought something and would like it called off.",
    2367: "Does a top-up get checked, and can that be done by me?",
    2371: "By which way is the code for confirming the top-up sent to me?",
    2552: "The throwaway virtual card lets no payment through.",
    2584: "I used a cash machine abroad and was given a poor conversion.",
    2784: "Will I pay anything when I swap one currency for another with it?",
    2814: "If I load my account from a card, what will that set me back?",
    2834: "Do you take anything for loading the account?",
}
_STYLES = (_TERSE, _FORMAL, _CHATTY, _STATEMENT, _MISTAKES, _OTHER_VIEW)

SEEN = {**_FIRST, **{n: text for style in _STYLES for n, text in list(style.items())[::2]}}
"""row of BANKING77's test set, from 0 → the same request in our words"""
HELD = {n: text for style in _STYLES for n, text in list(style.items())[1::2]}

OPEN = {
    351: "Tell me something about Aberdeen, the Scottish town.",
    408: "the little plastic tip of shoe laces: its name?",
    820: "What makes Diplomacy such a popular board game?",
    1159: "Sort Chardonnay, Cabernet Sauvignon, Moscato, Merlot, Syrah, Malbec, Pinot Noir, Riesling, Sangiovese and "
    "Sauvignon Blanc by colour",
    1730: "Which path leads to flying planes for a living?",
    1781: "Draft the opening lines about a young telecoms firm that has gone out of business",
    3616: "Where do people usually put their savings to make them grow?",
    4161: "Name every method by which somebody can take in water",
    4190: "What may I spend the money of a 529 plan on?",
    4401: "Which of these belong to Disney and which to Universal: Magic Kingdom, Islands of Adventure, Epcot, Typhoon "
    "Lagoon, Volcano Bay",
    5283: "Analogue or digital? Sort radio waves, television waves, sound waves, computers, digital phones and pens",
    6345: "Explain the term Romance languages",
    6415: "Goema and Requinto: which one has strings and which one do you beat?",
    6506: "Which blossom stands for the state of California?",
    7105: "Which of 1001, 202, 11, 65, 76, 36, 88, 999 and 12345 read the same backwards?",
    7399: "What is the reason that a cloud company has to have FedRAMP approval before it sells to US authorities?",
    8285: "Bus, car, truck, plane, train, kayak, helicopter: which ones can get a puncture?",
    10195: "How is the erupting volcano for a school project built?",
    10677: "Players of which college won the Heisman most often?",
    10733: "Beer or grape? Lager, Ale, India pale ale, Sauvignon Blanc, Cabernet Sauvignon, Pinot Noir",
    10892: "By which signs is ADHD recognised?",
    10959: "nose, beach, supermarket, feet, eyes, hand, mall, school, restaurant, heart: sort into places and parts of "
    "the body",
    11805: "How does bonding between ions work?",
    12266: "Which countries were champions at the latest seven women's football World Cups?",
    12961: "How do I prepare a PB&J?",
    12985: "My power costs too much, name five things that I can do",
    13051: "What are the wrong ways to exercise?",
    13087: "I want to hike with a tent in the Grand Canyon, how should I prepare?",
    13153: "Tbilat, Harp guitar: which is plucked and which is struck?",
    14427: "How do I teach myself to have lucid dreams, and what are they anyway?",
    14897: "USA or England? New York, Manchester, Bath, San Francisco, Oxford",
    14984: "Before Aegon conquered Westeros, who were the seven ruling families?",
}
"""row of Dolly's English file, from 0 → the same in our words; looked at while the rule was chosen"""

OPEN_HELD = {
    2323: "18 holes of golf: duration?",
    2434: "Is running without shoes healthy, and what does it do to me?",
    2530: "Bourbon, Whiskey, Vodka, Lemonade, Iced Tea: which of them contain alcohol?",
    3679: "Which footballers does everybody on the planet know?",
    4210: "What makes nearly every plant green?",
    4929: "Under capitalism, what moves the price of goods up or down?",
    4932: "I want to pay less for electricity at home, how?",
    5486: "My Windows notebook is replaced by a Mac: which five things will be hard for me?",
    5504: "A few thankful verses, please, for the women friends with whom I dance at Obon each summer",
    5863: "What do I buy for somebody who loves anime?",
    5970: "dog, run, cat, John, eat, swim, Adam, fly - noun or verb?",
    6301: "Isuzu and Cadillac: which comes from Japan and which from the US?",
    6806: "stanley cup champion of 2018?",
    6892: "Name the woman who was the first to cross the Channel swimming.",
    9307: "Some verses worth quoting out of the Gita",
    10311: "What was the pen name that made Alfred White known?",
    10501: "Who are the stars of Bravo's Salt Lake City housewives show?",
    10566: "Power, Powen: one of them swims in lakes, which?",
    10694: "soccer, football, swimming, snowboard, skiing, baseball: for which do I need a ball?",
    11138: "In Machiavelli's book, which ruler is the model of a prince, and on what grounds?",
    11652: "My house looks old-fashioned, how do I freshen it up?",
    12732: "Pie or cake, what is your favourite, and for what reason?",
    13511: "By what means can somebody get to their job?",
    14556: "In which year was India free of British rule?",
    14615: "Somebody from Breaking Bad was in the X-Files episode Drive (season 6): who?",
    14843: "Which tongue do most people in Latin America speak?",
}
"""the same; written after the rule was chosen"""
