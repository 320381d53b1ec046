"""The plots: each a row of beats, each beat one of several ways to tell it.

A beat that starts with MAYBE is left out of some stories. Templates as in `grammar.py`.
"""

from __future__ import annotations

MAYBE = "?"
_ASIDE = (MAYBE, "<aside>")
_SCENE = (MAYBE, "<scene> <scene>", "<scene>", "<scene>\n<scene>", "<scene> <scene> <scene>")
_MOOD = (MAYBE, "<feeling_story>")
_END = ("<ending>",)

Beats = tuple[tuple[str, ...], ...]

LOST: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "{hero} had a <look> {color} {toy}. <S> liked to {toy.play} it [every day|after lunch|all "
        "day long|before bed|with {friend}|on the <soft_thing>|when it was {weather}]<tail>.",
        "{His} favorite toy was a {color} {toy}. {elder} <gave> it to {him} [last week|for {his} "
        "birthday|on {day}|in the spring|when {he} was ill]<tail>.",
        "[Of all {his} toys|More than anything], {he} loved {his} <look> {color} {toy}. <S> "
        "{toy.played} it [whenever {he} could|every {day}|morning and night|again and "
        "again]<tail>.",
        '<one_day>, {elder} <gave> {him} a <look> {color} {toy}. "[Take good care of it|It is for '
        'you|Do not lose it|Now you can {toy.play} it]," {elder.he} <said><how>.',
    ),
    _ASIDE,
    (
        "But <one_day_low>, the {toy} was [gone|lost|missing|nowhere to be seen]. {hero} [was "
        "<very> sad|wanted to cry|began to cry|felt sad|did not know what to do|ran to "
        "{elder}]<tail>.",
        '<then>, {he} could not find the {toy}. "Where is my {toy}?" {he} '
        "[asked|cried|said|wailed|shouted]<tail>.",
        "<one_day>, {he} looked for the {toy}, but it was not [there|in its place|in {his} bag|on "
        'the shelf where it lived]. "Oh no!" <cried> {hero}<how>. "My {toy} is [lost|gone]!"',
        "<S> <wanted> to {toy.play} the {toy}, but [where was it|it was gone|it was not there]? A "
        "[big|fat|warm|single] tear <ran> down {his} cheek<tail>.",
    ),
    (
        "<S> <looked> {nook}<tail>. It was not there[|, only {few} {item.plural}|, only a <look> "
        "{tool}|, just dust]. <S> <looked> {nook2}<tail>. [It was not there either|No "
        "{toy}|Nothing|Still no {toy}]<tail>.",
        "First {he} <looked> {nook}<tail>. [No {toy}|Nothing|It was not there]. Then {he} "
        "<looked> {nook2} and found [only {animal.a}|a <look> {toy2}|an old sock|{few} "
        "{item.plural}|{treat.a}]<tail>.",
        "<S> searched {nook}, {nook2} and [by the window|in every bag|all over the hall]<tail>.",
        '"Is it {nook}?" <asked> {elder}<how>. "No," <said> {hero}<how>. "Is it {nook2}?" "No," '
        "said {hero}[| again| with a sniff| and shook {his} head]<tail>.",
    ),
    (
        MAYBE,
        '<hello> "[I lost|I cannot find] my {color} {toy}," <said> {hero}<how>. "[I will help '
        'you|Let us look together|Do not cry|We will find it]," <said> {friend} <happily><tail>.',
        '{friend} [came to help|helped {him} look|had an idea|asked, "What did you lose?" "My '
        '{toy}," said {hero}]. "Where did you {toy.play} it last?" <asked> {friend}<how>.',
        '"[Think|Try to remember]," <said> {elder}<how>. "[What color is it|What did it look '
        'like]?" "It is {color}," <said> {hero}<how>.',
    ),
    (
        "<then>, {he} <looked> {nook3}, and there it was: the {color} {toy}!",
        "<then>, {he} <saw> something {color} {nook3}<tail>. It was the {toy}!",
        "And where was it? The {toy} was {nook3}[| all along| the whole time|, fast asleep, said "
        "{elder}]<tail>.",
        '"<oh>!" [cried|shouted|called|said] {hero}. "It is {nook3}!" {He} [picked '
        "up|grabbed|hugged|held up|kissed] the {color} {toy}<tail>.",
        'At last {elder} <found> the {toy} {nook3}. "[Here it is|This must be your {toy}|Look '
        'what I found]," {elder.he} [said|called|laughed]<tail>.',
    ),
    (
        MAYBE,
        "<S> was <glad> and {toy.played} the {toy} [until dark|all day|once more|right away|till "
        "dinner]<tail>.",
        '"Thank you!" <cried> {hero}<how>. Now {he} could {toy.play} it again<tail>.',
        "<S> had left it {nook3} [|on {day} |last night |before the nap ]and forgot. <S> "
        "[laughed|blushed|shook {his} head|felt silly]<tail>.",
        "From then on, the {toy} lived [on a hook|by {his} bed|in a <look> box|next to {his} "
        "pillow]<tail>.",
    ),
    _SCENE,
    _END,
)

SHARE: Beats = (
    ("<opening>",),
    _SCENE,
    ("<hello>",),
    (
        '{hero} had {toy.a}, and {friend} had none. "[Can I {toy.play} it|May I have a turn|Can I '
        'try it|Please let me {toy.play} it] [too|now|for a bit]?" <asked> {friend}<how>.',
        "They [found|saw|spotted] a <look> {color} {toy} {nook}<tail>. They both <wanted> to "
        "{toy.play} it first<tail>.",
        "{elder} <gave> them {many} {treat.plural}. {hero} [took|wanted|grabbed] [all of "
        'them|nearly all|the biggest ones]. "[That is not fair|Give me one|I want some too]," '
        "<said> {friend}<how>.",
        'There was only one {toy}. "[Mine|I had it first|It is my turn|I saw it first]!" said '
        '{hero}. "[No, mine|No, I did|Let go|Not again]!" <cried> {friend}<how>.',
        "{friend} <wanted> to {toy.play} {hero}'s <look> {toy}, but {hero} [held it tight|said "
        "no|hid it {nook}|shook {his} head|turned {his} back]<tail>.",
    ),
    (
        '"No, it is mine," {hero} [said|shouted|grumbled|snapped]. {friend} [was sad|began to '
        "cry|went away|sat down {nook2}|did not say a word|looked down]<tail>.",
        "They [pulled and pulled|shouted|were both angry|pushed each other|would not stop]. "
        "<then>, there was a [crash|rip|bump|bang|thud]. Oh no!",
        "{hero} [did not want to|would not|said {he} would never|was too cross to] share. "
        "{friend} [said nothing|frowned|sighed|wiped {friend.his} eyes|stamped {friend.his} "
        "foot]<tail>.",
    ),
    _ASIDE,
    (
        '{elder} [heard|saw|came to see|was watching] them. "[Please share|Be kind|You can take '
        'turns|There is enough for two|Friends share]," {elder.he} said <happily><tail>.',
        '"What is [wrong|going on|the matter|all this noise]?" <asked> {elder}<how>. "[How would '
        "you feel|What would a good friend do|Can two not play together|Who was kind to you on "
        '{day}], {hero}?"',
        "Then {hero} [thought about|looked at|felt sorry for] {friend}. <S> remembered how "
        "{third} once shared {treat.a} with {him}<tail>.",
        "{hero} played alone, but it was [no fun|not fun|boring|too quiet|a bit sad]. <S> looked "
        "at {friend}, who was {nook3}<tail>.",
    ),
    (
        '"I am sorry," <said> {hero}<how>. "[Here, take it|You can go first|Let us share|We can '
        'play together|You may have half]." "<thanks>," <said> {friend}<how>.',
        'So {hero} [went to|smiled at|called|hugged|took the hand of] {friend} and said, "[Let us '
        'take turns|I want to share|You go first|Come and play|It is yours too]."',
        "{hero} [gave {friend} a turn|let {friend} go first|said sorry|held out {his} hand]. "
        '{friend} [smiled.|was <glad>.|laughed.|said, "<thanks>."]',
    ),
    (
        MAYBE,
        "Then {friend} shared {friend.his} {fruit.plural} with {hero}. They were <very> "
        "{fruit.taste}<tail>.",
        "<then>, they [made|built|drew|planned] a <size> "
        "[castle|tower|tent|city|bridge|house|ship] [together|out of {item.plural}|side by "
        "side|for {elder}]<tail>.",
        "They counted to {few} and changed turns[| each time], and nobody was sad<tail>.",
        '"Sharing is [fun|easy|better|nice]," <said> {friend}<how>. "[Yes|It is|I know now|You '
        'are right]," <said> {hero}<how>.',
    ),
    _SCENE,
    _END,
)

COUNT: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, {he} <went> {place.to} with {friend}. They [saw|passed|liked] "
        "{place.sight}<tail>.",
        "<S> [liked|loved] {item.plural}. <S> [kept|hid|stored] them in a <look> "
        "[box|jar|bag|tin|basket|drawer]<tail>.",
        "{elder} asked {hero} to [find|collect|bring|look for|gather] <some> {item.plural}[| for "
        "a game| for a picture| for the party| before lunch]<tail>.",
        '{hero} was learning to count. "[I can count to twenty|Numbers are fun|Let us count '
        'things|I love numbers]!" {he} said <happily><tail>.',
    ),
    _ASIDE,
    (
        "{hero} <found> {some} {item.plural} {spot}<tail>. Then {he} <found> {more} more "
        "{spot2}<tail>. Now {he} had {total} {item.plural}<tail>.",
        '{hero} had {some} {item.plural}. {elder} <gave> {him} {more} more. "How many [do you '
        'have now|is that|are there]?" {elder.he} <asked><how>. "{Total}!" <cried> {hero}<how>.',
        "There were {some} {item.plural} {spot} and {more} {spot2}<tail>. {hero} counted them "
        "all. [That made|There were|It came to] {total}<tail>.",
        '"I have {some} {item.plural}," <said> {hero}<how>. "I have {more}," <said> '
        "{friend}<how>. Together they had {total} {item.plural}<tail>.",
        '"What is {some} plus {more}?" <asked> {elder}<how>. {hero} [counted on {his} '
        'fingers|thought hard|looked up|used {item.plural}|drew dots]. "{Total}," {he} '
        "<said><how>.",
        "<S> wrote {some.digits} + {more.digits} = {total.digits} [in the sand|on the wall|in "
        '{his} book|with a stick|on a card|with chalk]. "[Right|Well done|Correct|Very good]!" '
        "said {elder}<tail>.",
    ),
    _MOOD,
    (
        "Later, {friend} had {many} {treat.plural}. {Friend.he} <gave> {fewer} to {third}. There "
        "were {rest} left<tail>.",
        "There were {many} {animal.plural} {place2.at}. {Fewer} of them [went away|ran "
        "off|hid|fell asleep|left]. {Rest} [stayed|were left|were still there]<tail>.",
        "<then>, {he} <saw> {many} {fruit.plural} on the table. {elder2} took {fewer}, and {rest} "
        "were left<tail>.",
        '"If I have {many} {fruit.plural} and eat {fewer}, how many are left?" <asked> '
        '{friend}<how>. "{Rest}," <said> {hero}[| <happily>]<tail>.',
        "<S> wrote {many.digits} - {fewer.digits} = {rest.digits}. [It was right|That was a hard "
        "one|{friend} checked it with {item2.plural}|{elder} nodded]<tail>.",
        "A bag held {many} <look> {item2.plural}. It had a hole, and {fewer} fell out. Only "
        "{rest} were in it [at home|in the end|at last]<tail>.",
    ),
    (
        '"You are good at counting," <said> {elder}[|, and gave {him} {treat.a}|, and {he} '
        "smiled]<tail>.",
        "They <put> the {item.plural} [in a row|in a jar|in a circle|on the window|in a <look> "
        "basket]. They looked <nice><tail>.",
        "{hero} <gave> the [nicest|smallest|biggest|shiniest|best] {item} to {elder}<tail>.",
        '"[Numbers are|Counting is] [like a game|easy|fun|not hard]," {he} <said><how>.',
    ),
    _SCENE,
    _END,
)

ANIMALS: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, {elder} took {him} to see the animals. {hero} was <glad><tail>.",
        "<one_day>, {he} [visited|went to|walked to|drove to|stayed at] a farm with {friend}. "
        "{elder} [showed them around|came along|held their hands|opened the gate]<tail>.",
        "<S> had a [big|new|thick|colorful] book about animals. {elder} [read it with {him}|sat "
        "down next to {him}|turned the pages]<tail>.",
        "<S> [liked|loved] animals more than [anything|{treat.plural}|toys|{toy.plural}]. "
        "<one_day>, {he} <went> to [meet|see|look for] some<tail>.",
        "{hero} and {friend} played a game about animals {place.at}<tail>.",
    ),
    (
        'First they <saw> {animal.a}. "{Animal.sound}," <said> the {animal}<how>. {hero} '
        "[waved|clapped|jumped back|smiled]<tail>.",
        'The {animal} said "{animal.sound}." The {animal2} said "{animal2.sound}." [What a '
        "noise|It was loud|{hero} laughed|{hero} covered {his} ears]!",
        '"What does the {animal} say?" <asked> {elder}<how>. "{Animal.sound}!" <cried> '
        "{hero}<how>.",
        '"{Animal.sound}! {Animal.sound}!" Who was that? It was the {animal}[|, of course| '
        "{spot}| behind {him}]<tail>.",
        'A <size> {animal} {animal.moved} up to {him} and said, "{Animal.sound}." {He} <gave> it '
        "some {animal.eats}<tail>.",
    ),
    (
        '"Where does the {animal} live?" {he} <asked><how>. "The {animal} lives {animal.lives}," '
        "said {elder}<tail>.",
        '"What does it eat?" {he} <asked><how>. "It eats {animal.eats}[|, and it lives '
        '{animal.lives}]," <said> {elder}<tail>.',
        '"{Animal.plural} live {animal.lives} and eat {animal.eats}," <said> {elder}<how>.',
        '"A baby {animal} is called {animal.a_baby}," <said> {elder} <happily><tail>.',
    ),
    _ASIDE,
    (
        'Next came {quiet.a}. It {quiet.moved} [along|about|slowly|nearby|close to them]. "It '
        'lives {quiet.lives}," <said> {elder}<how>.',
        "They <saw> a <size> {quiet} too. It <ate> {quiet.eats}[| and did not mind them| all day "
        "long]. It made no sound<tail>.",
        '"And what does the {quiet} say?" <asked> {hero}<how>. "Nothing," <said> {elder}<how>. '
        '"But it lives {quiet.lives} and eats {quiet.eats}."',
        "There were also {quiet.plural}. {Quiet.plural} eat {quiet.eats}. {hero} "
        "[counted|watched|drew|fed] {few} of them<tail>.",
    ),
    (
        '"I can be {animal3.a}," <said> {hero}<how>. "{Animal3.sound}!" [Everyone|{elder}|The '
        "whole family] [laughed|clapped|jumped|smiled]<tail>.",
        'Then {hero} closed {his} eyes. "{Animal3.sound}," {he} heard. "That is {animal3.a}!" '
        "{he} said. <S> was right<tail>.",
        "{elder} said, \"It says '{animal3.sound}' and eats {animal3.eats}. What is it?\" "
        '"{Animal3.a}!" <cried> {hero}<how>.',
        "Last of all, {he} met {animal3.a} with its {animal3.baby}. It [let|did not let] {him} "
        "come close<tail>.",
        "\"Which one lives {animal3.lives} and says '{animal3.sound}'?\" <asked> {elder}<how>. "
        '{hero} [knew it|thought for a while|smiled|raised {his} hand]. "The {animal3}!"',
    ),
    _MOOD,
    (
        '"Which animal do you like best?" <asked> {elder}<how>. "The {animal3}," {he} said[|, '
        '"because it is <size>"| <happily>]<tail>.',
        '<S> waved and said, "[Goodbye|See you soon|Sleep well|Be good], {animal3}!" '
        '"{Animal3.sound}," <said> the {animal3}<how>.',
        "At home, {he} drew [a picture of the {animal3}|the {animal3} in {color}|a big {animal3} "
        "and a small one]<tail>.",
    ),
    _SCENE,
    _END,
)

MARKET: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, {hero} and {elder} <went> to the [store|market|shop|farm stand]. They needed "
        "{fruit.plural} and {vegetable.plural}<tail>.",
        '{elder} <wanted> to [make|cook] [soup|a salad|a pie|a stew|dinner|jam]. "Please '
        '[get|buy|bring|find] {many} {fruit.plural} and {few} {vegetable.plural}," {elder.he} '
        "said to {hero}<tail>.",
        "<S> played store with {friend}. {friend} [was|played] the seller[| and wore an apron| "
        "with a paper hat]<tail>.",
        "There was a <look> stall with fruit and vegetables. {hero} [looked at everything|wanted "
        "to try it all|helped there|carried the basket]<tail>.",
    ),
    (
        '"Is {fruit.a} a fruit or a vegetable?" <asked> {hero}<how>. "{Fruit.a} is a '
        '{fruit.kind}," said {elder}<tail>.',
        "The {fruit.plural} were {fruit.color} and {fruit.taste}. The {vegetable.plural} were "
        "{vegetable.color} and {vegetable.taste}<tail>.",
        '"What color is {fruit.a}?" <asked> {elder}<how>. "{Fruit.color}!" <cried> {hero}<how>. '
        '"And {vegetable.a}?" "{Vegetable.color}!"',
        '<S> <picked> {fruit.a}. "[I like|I want|Let us take] this fruit," {he} <said><how>. "It '
        'is {fruit.color}[| and it tastes {fruit.taste}]."',
        "{hero} <put> {some} {fruit.plural} in the basket. They were all {fruit.color}[| and "
        "<nice>]<tail>.",
    ),
    _ASIDE,
    (
        '"Is {vegetable.a} a fruit?" <asked> {hero}<how>. "No, {vegetable.a} is a '
        '{vegetable.kind}," <said> {elder}<tail>.',
        'Then {he} <saw> {vegetable.a}. It was {vegetable.color}. "That is a vegetable," said '
        '{elder}. "It tastes {vegetable.taste}."',
        '"I do not like {vegetable.plural}," <said> {hero}<how>. "[Try one|Just one bite|They are '
        '{vegetable.taste}|They make you strong]," <said> {elder}<how>. <S> tried, and it was '
        "<nice><tail>.",
        '"These are vegetables: {vegetable.plural} and {vegetable2.plural}," <said> {elder}<how>. '
        '"And these are fruits: {fruit2.plural} and {fruit3.plural}."',
        '"[Find|Show me|Bring me] a {vegetable.color} vegetable," <said> {elder}<how>. {hero} '
        "[brought|found|held up|pointed to] {vegetable.a}. [Right|Good|Well done]!",
    ),
    (
        MAYBE,
        "They bought {some} {fruit.plural} and {more} {fruit2.plural}. That was {total} fruits in "
        "all<tail>.",
        '"That is {few} coins," said the seller. {elder} [gave|paid|counted out] {few} coins[| '
        "one by one| <happily>]<tail>.",
        '<hello> "What is in your bag?" {friend.he} <asked><how>. "[Guess|Look]! It is '
        '{fruit2.color} and {fruit2.taste}." "{Fruit2.a}!" <cried> {friend}<how>.',
        "A <size> {animal} [looked at|sniffed|wanted|tried to eat] the {fruit.plural}. "
        '"{Animal.sound}!" it said. "No, no," laughed {hero}. "You eat {animal.eats}."',
    ),
    (
        "At home, they [washed|cut|peeled|cooked|counted] the {vegetable.plural} and <ate> the "
        "{fruit.plural}<tail>.",
        "They <put> the {fruit.plural} [in a bowl|on the table|in a <look> dish] and the "
        "{vegetable.plural} [in a pot|in the kitchen|in the cellar]<tail>.",
        "{hero} <gave> {fruit.a} to {friend} and {fruit2.a} to {third}. [Both said thank you|They "
        "were <glad>|They ate at once]<tail>.",
        "The soup with {vegetable.plural} was [hot|warm|<nice>|ready at noon]. {hero} <ate> [it "
        "all|two bowls|every drop|like a {animal2}]<tail>.",
    ),
    _MOOD,
    _SCENE,
    _END,
)

HIDE: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, {hero} played hide and seek with {friend} and {third} {place.at}<tail>.",
        '{friend} and {third} came to play. "Let us play hide and seek!" <cried> {third}<how>. '
        '"<yes>," said {hero}<tail>.',
        "<hello> {third} was there too. They [wanted|liked|decided] to play hide and seek[| in "
        "the yard| before dinner| until dark]<tail>.",
    ),
    (
        "{hero} [closed|shut|covered] {his} eyes and counted to {many}<tail>.",
        '"I will count," <said> {hero}<how>. "[One, two, three|Ready or not|No peeking|I will '
        'find you]!" <S> counted to {many}<tail>.',
        "It was {hero}'s turn to [seek|count|look]. <S> [stood|leaned|sat] by a <look> "
        "[wall|tree|post|door] and counted up to {many.digits}<tail>.",
    ),
    (
        "{friend} hid {spot}, and {third} hid {spot2}<tail>.",
        "{friend} <ran> and hid {spot}<tail>. {third} [went|crept|tiptoed|crawled] {spot2}<tail>.",
        "Where did they hide? {friend} was {spot}<tail>. {third} was {spot2}<tail>. [They kept "
        "still|They did not make a sound|They tried not to laugh]<tail>.",
        "{third} <found> a place {spot2}<tail>. {friend} [could not decide|looked around|ran here "
        "and there] and then hid {spot}<tail>.",
    ),
    _ASIDE,
    (
        "{hero} [looked|peeked|searched] {spot3}<tail>. [Nobody was there|There was only "
        "{quiet.a}|No one|It was empty|{He} only saw {thing.a}]<tail>.",
        '"Where are you?" {he} called. First {he} <looked> {spot3}, but [no|it was empty|nobody '
        "was there|that was wrong]<tail>.",
        "<S> [heard a giggle|heard a sneeze|saw a shoe|saw a shadow|heard a twig snap]. Was it "
        "{spot3}? No[|, it was not|, that was only {animal.a}]<tail>.",
    ),
    (
        'Then {he} <looked> {spot} and <found> {friend}! "[You found me|Oh no|How fast|So soon]!" '
        "{friend} [laughed|said|cried|giggled]<tail>.",
        '"I see you, {friend}!" {he} [called|said|shouted]. "You are {spot}!"',
        '<then>, {he} <went> {spot} on tiptoe. "Boo!" [There was|It was] {friend}<tail>.',
    ),
    _MOOD,
    (
        "But where was {third}? {third} was still {spot2}<tail>. {hero} and {friend} looked for "
        "{third.him}<together><tail>.",
        "{third} was the last one. <then>, {he} <found> {third.him} {spot2}[|, fast asleep|, "
        "eating {fruit.a}|, full of leaves|, quite cold]<tail>.",
        '"{third}, you win! Come out!" called {hero}. {third} came out from where {third.he} was, '
        "{spot2}<tail>.",
        '"Is {third} {spot2}?" <asked> {friend}<how>. They looked, and {third.he} was! "<oh>! You '
        '[found|caught|got] me," <said> {third}<how>.',
    ),
    (
        MAYBE,
        "Now it was {friend}'s turn to count. {Friend.he} counted to {few}, and {hero} hid "
        "{spot3}<tail>.",
        '{elder} called, "[Dinner is ready|Come in, all of you|Who wants {treat.plural}|Time to '
        'go home]!" {hero}, {friend} and {third} <ran> in<tail>.',
        "They all had {treat.plural} and [laughed|talked|told {elder} about it|sat on the "
        "<soft_thing>]<tail>.",
    ),
    _SCENE,
    _END,
)

COMFORT: Beats = (
    ("<opening>",),
    _SCENE,
    ("<hello>",),
    (
        "<friend_feels>",
        "But {friend} did not want to [play|talk|eat|sing|come out]. <friend_feels>",
    ),
    (
        "{hero} [sat down next to {friend}|took {friend.his} hand|gave {friend.him} a "
        'hug|listened|nodded|thought for a bit]. "[I know how that feels|I am here|It will be all '
        'right|Tell me more|That happens to me too]," <said> {hero}<how>.',
        '"Do you want to [hold|see|borrow|try] my {toy}?" <asked> {hero}<how>. "We can {toy.play} '
        'it [together|for a while|until you feel better]."',
        "{hero} had an idea. <S> [got|brought|found|fetched] [{treat.a}|a <look> "
        "{toy}|{fruit.a}|a <look> {item}|a warm blanket|a funny hat] for {friend}<tail>.",
        "{hero} told {friend.him} a [joke|story|secret|riddle]. It was about <joke><tail>.",
    ),
    _ASIDE,
    (
        "{friend} [smiled|laughed|looked up|felt better|felt a bit better|wiped {friend.his} "
        'face]. "<thanks>," {friend.he} <said><how>.',
        'Little by little, {friend} felt better. "[It is nice that you stay|Now I want to '
        'play|You always help me|I feel fine now]," {friend.he} [said|asked]<tail>.',
        "It worked! {friend} began to [smile|laugh|giggle|hum|talk again]<tail>.",
    ),
    (
        "Then it was {hero}'s turn to talk. <feeling_story>",
        '"Do you ever feel [sad|scared|angry|lonely|bored]?" <asked> {friend}<how>. "Yes," <said> '
        '{hero}<how>. "[Once|Last {day}|One night], I could not find my {toy}[| anywhere]. I '
        'cried until {elder} <found> it {nook}."',
        '{hero} said, "When I am sad, I <cure>. When I am scared, I [call|go to|think of|hug] '
        '{elder}."',
        '<feeling_story> {friend} [understood.|gave {him} a hug.|said, "Me too."|knew that '
        "feeling<tail>.]",
    ),
    (
        MAYBE,
        "They [went|walked|ran] {place.to} to {place.fun}. <nature_s><tail>.",
        "They {toy2.played} {toy2.a} [until dark|all afternoon|and forgot the time|on the "
        "<soft_thing>]<tail>.",
        "{elder} [saw them|smiled at them|brought {treat.plural}|was proud of {hero}]<tail>.",
    ),
    _SCENE,
    _END,
)

LESSON: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, the teacher asked about opposites. {hero} sat [next to|behind|in front "
        "of|near] {friend}<tail>.",
        '{hero} played a word game with {elder}. "I say a word, and you say the opposite," '
        "{elder.he} said<tail>.",
        '"Let us play opposites," <said> {friend} {place.at}. "<yes>," <said> {hero}<how>.',
        "It was {day}, and {hero} <went> to school. <S> [carried|took|forgot|had] {his} "
        "[bag|lunch|<look> pencil|{color} cap|{toy}]<tail>.",
    ),
    (
        '"What is the opposite of {pair}?" "{Pair.opposite}," <said> {hero}[| <happily>]<tail>.',
        '"The opposite of {pair} is {pair.opposite}," <said> {hero}<how>. [Right|Yes|Correct|That '
        "was easy]!",
        '"{Pair}," came the word. {hero} [thought|waited|jumped up|grinned]. "{Pair.opposite}!"',
    ),
    _ASIDE,
    (
        '"What about {pair2}?" {friend} [was quick|raised a hand|whispered the answer|did not '
        'know]. "{Pair2.opposite}," <said> {hero}<how>.',
        'Next was {pair2}. "It is {pair2.opposite}," <said> {friend}<how>.',
        '"Now you ask me," <said> {elder}<how>. "{Pair2}?" <asked> {hero}<how>. '
        '"{Pair2.opposite}," said {elder}<tail>.',
        '"If it is not {pair2}, what is it?" <asked> {hero}<how>. "Then it is {pair2.opposite}," '
        "<said> {friend}<tail>.",
    ),
    (
        "After {day} comes {day.next}. {hero} [knew that|wrote it down|sang the days|had learned "
        "it by heart]<tail>.",
        '"Today is {day}. What is tomorrow?" "{Day.next}," <said> {friend}<how>.',
        '"What is {some} plus {more}?" "{Total}," <said> {hero}<how>. [A gold star|Everyone '
        "clapped|That was right|{He} did not even use {his} fingers]<tail>.",
        "They learned that {tool.a} is used to {tool.purpose}, and {tool2.a} to "
        "{tool2.purpose}<tail>.",
        "They learned about jobs. {Job.a} {job.does}. {Job2.a} works {job2.at}<tail>.",
        "They learned that {fruit.a} is a fruit and {vegetable.a} is a vegetable[|. {friend} "
        "mixed them up]<tail>.",
        "They wrote numbers: {some.digits} is {some}, and {many.digits} is {many}<tail>.",
    ),
    _MOOD,
    (
        "At [break|noon|lunch|the end], they <played_out><tail>.",
        '{hero} [drew|painted|made|wrote] {thing.a}. <S> made it {thing.color}. "{Thing.plural} '
        'are {thing.color}," {he} <said><how>.',
        "{friend} shared {friend.his} {treat.plural} with {hero}. There were {few} of them<tail>.",
        'The class sang a song about {animal.a}. "{Animal.sound}, {animal.sound}," they all '
        "sang<tail>.",
        "The bell rang. {hero} [packed|dropped|closed] {his} bag and <ran> [home|outside|to "
        "{elder}]<tail>.",
    ),
    _SCENE,
    _END,
)

PET: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "{hero} had {pet.a} named {petname}. {Petname.he} was {color} and <very> "
        "[fast|gentle|clever|fond of {pet.eats}|good at tricks]<tail>.",
        "<one_day>, {elder} [brought home|gave {him}|found|showed {him}] a <size> {color} {pet}. "
        "{hero} named {petname.him} {petname}<tail>.",
        "{His} best friend was a <size> {pet} called {petname}. {Petname.he} slept {nook}<tail>.",
        "{hero} wanted a pet. So {elder} took {him} to choose one. <S> chose a <size> {pet} and "
        "called {petname.him} {petname}<tail>.",
    ),
    (
        '{petname} liked {pet.eats}. "{Pet.sound}," {petname.he} said when {hero} came home.',
        'Every [day|morning|evening], {hero} <gave> {petname} <some> {pet.eats}. "{Pet.sound}!" '
        "said {petname}<tail>.",
        "{hero} taught {petname} to [sit|jump|come|wait|roll over|dance|find {item.plural}]. It "
        "took {few} days<tail>.",
        "{petname} [followed {him} everywhere|loved to play|liked to nap {nook2}|was afraid of "
        "{animal.plural}|chased {quiet.plural}|once ate {treat.a}]<tail>.",
    ),
    _ASIDE,
    (
        "<one_day>, {petname} was gone. {hero} [looked|searched|called] [everywhere|for an "
        "hour|up and down the street|till it got dark]. {petname} was not {spot} and not "
        "{spot2}<tail>.",
        "<then>, the gate was open, and {petname} {pet.moved} away! {hero} [ran after "
        "{petname.him}|was <very> worried|called {elder}|cried]<tail>.",
        "<one_day>, {petname} did not come when {hero} called. <S> <looked> {spot}<tail>. <S> "
        "<looked> {spot2}<tail>. [Nothing|No {pet}|No {petname}]<tail>.",
        "<one_day>, they <went> {place.to}. {petname} <saw> {animal.a} and {pet.moved} after it. "
        "Soon {petname.he} was [lost|gone|out of sight]<tail>.",
    ),
    (
        MAYBE,
        '<hello> "Have you seen my {pet}?" <asked> {hero}<how>. "[No|Not today|Not since {day}|I '
        'will help you look]," <said> {friend}<how>.',
        "{hero} [made|drew|wrote|put up] a sign. It said: {pet}, {color}, answers to "
        "{petname}<tail>.",
        '{elder} said, "{Petname} will be hungry. Take <some> {pet.eats}."',
    ),
    (
        '<then>, they <heard> a sound. "{Pet.sound}!" It was {petname}, {spot3}!',
        '{hero} heard "{pet.sound}" and <looked> {spot3}<tail>. {petname} was there[|, safe and '
        "sound|, wet and cold|, asleep|, stuck|, with {quiet.a}]<tail>.",
        "At last, {petname} was found {spot3}<tail>. {Petname.he} [was hungry|was "
        "stuck|shook|jumped for joy|was asleep]<tail>.",
    ),
    (
        "{hero} [hugged|kissed|stroked|carried|scolded] {petname} and <gave> {petname.him} "
        "{pet.eats}<tail>.",
        '"Never [run off|do that|leave me] again, {petname}," <said> {hero}<how>. "{Pet.sound}," '
        "said {petname}<tail>.",
        '"You [bad|silly|poor|sweet|dear] {pet}!" <cried> {hero}<how>. <S> was <glad><tail>.',
    ),
    _MOOD,
    _SCENE,
    _END,
)

PARTY: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "It was {hero}'s birthday. <S> was [four|five|six|seven|eight] years old. {elder} made "
        "{many} {treat.plural}<tail>.",
        "<one_day>, {hero} [had|planned|gave|wanted] a party {place.at}. <S> [asked|invited] "
        "{friend} and {third}<tail>.",
        "{friend} was having a party, and {hero} was invited. <S> [wrapped|bought|made|painted] a "
        "<look> {toy} [as a present|for {friend.him}]<tail>.",
    ),
    (
        "There were {some} {color} balloons and {more} {color2} ones. That made {total} "
        "balloons<tail>.",
        "They [hung|put up|tied|counted] {many} {color} [balloons|flags|ribbons|paper "
        "stars|lights]<tail>.",
        "{Some} children came [in the morning|at noon|first], and {more} <came> later. {Total} "
        "children were there<tail>.",
        "{third} wore {color.a} [hat|crown|mask|cape|dress|jacket]. {friend} wore {color2.a} "
        "one<tail>.",
        "The cake was {color}, with {few} {fruit.plural} on top<tail>.",
    ),
    _ASIDE,
    (
        '{third} <gave> {hero} a <look> box. In it was {toy2.a}! "<oh>! Now I can {toy2.play} '
        'it," said {hero}<tail>.',
        '"Guess what it is," <said> {third}<how>. "You can {toy2.play} it." "{Toy2.a}!" '
        "[cried|said|guessed] {hero}. [It was|Right|Yes]!",
        "They played a game. {third} hid the {toy2} {nook}<tail>. {friend} <looked> {nook2}, and "
        "{hero} looked {nook}<tail>. So {hero} [won|found it|got the prize]<tail>.",
        "First they {toy2.played} the {toy2}. Then they {toy3.played} the {toy3}<tail>.",
        'A clown made {animal.a} out of a balloon. "{Animal.sound}!" <cried> {hero}<how>.',
    ),
    (
        "There were {many} {treat.plural}. The children ate {fewer}. {Rest} were left[| for "
        "{elder}| for the next day]<tail>.",
        "{elder} [cut|brought|carried in] the cake. [Everyone|Each child] got a piece with "
        "{fruit.a} on it<tail>.",
        "{hero} <ate> {fruit.a}, {friend} <ate> {fruit2.a}, and {third} <ate> {treat.a}<tail>.",
        "{friend} did not like {fruit.plural}, so {hero} <gave> {friend.him} {treat.a}[| "
        "instead]<tail>.",
    ),
    _MOOD,
    (
        MAYBE,
        "<friend_feels> So {hero} [danced with|stayed with|sat next to|gave {treat.a} to] "
        "{friend.him}<tail>.",
        "They [sang|danced|played|laughed] until [it was dark|the stars came out|{elder} "
        "yawned|the last candle went out]<tail>.",
        '"[Thank you for coming|This was the best party|I like your gift, {third}|I wish it was '
        'my birthday every {day}]," <said> {hero}<how>.',
        "{friend} helped to clean up. They <put> {few} cups {nook3}<tail>.",
    ),
    _SCENE,
    _END,
)

TRIP: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "<one_day>, {hero} <went> {place.to} with {elder}. It was {weather}, so {he} took "
        "{weather.wear}<tail>.",
        '"Let us go {place.to}," <said> {elder}<how>. "It is {weather} today. Do not forget '
        '{weather.wear}!"',
        "The whole family [wanted|planned|decided] to go {place.to}. <S> packed {fruit.a}, "
        "{tool.a} and {his} {toy}<tail>.",
        '{hero} had never been {place.to}. <one_day>, {elder} said, "[We are going|Get ready|I '
        'have a surprise|Put on your shoes]!"',
    ),
    (
        "They <walked> for a [|long |short |little ]while. On the way they <saw> {thing.a} "
        "{thing.where}<tail>.",
        "They took the [bus|train|car|boat|path along the river|road over the hill]. {hero} "
        "counted {many} {animal.plural} on the way<tail>.",
        '"Are we there yet?" <asked> {hero}<how>. "[Not yet|Soon|Almost|Be patient]," <said> '
        '{elder}<how>. "{Few} more minutes."',
        'They sang about {animal.plural} all the way. "{Animal.sound}!" sang {hero}<tail>.',
    ),
    (
        '{Place.at}, {he} <saw> {place.sight}. "<oh>!" <cried> {hero}<how>.',
        "There was {place.sight}. {hero} [had never seen that before|clapped|ran to look|liked "
        "it|took a picture]<tail>.",
        "They came {place.to} at last. {hero} <wanted> to {place.fun} [first|right away|all "
        "day]<tail>.",
    ),
    _ASIDE,
    (
        '<S> met {friend} there. "Do you want to {place.fun}?" <asked> {friend}<how>. "<yes>," '
        "said {hero}<tail>.",
        '"What can we do here?" {he} <asked><how>. "We can {place.fun}," <said> {elder}<how>.',
        "They [began|started] to {place.fun}. It was <very> <nice><tail>.",
        "<S> [waited in line|asked politely|helped {elder}] and then got to {place.fun}<tail>.",
    ),
    (
        "At noon, they sat on the <soft_thing> and <ate> {treat.plural} and {fruit.plural}<tail>.",
        "{hero} [lost|dropped|forgot] {his} {color} [hat|glove|scarf|shoe|bag] {spot}<tail>. "
        "{elder} <went> back, and it was still {spot}<tail>.",
        "{hero} <found> {few} {item.plural} {spot} and <gave> {elder} half of a <look> "
        "{fruit2}<tail>.",
        'A <size> {animal2} came close. It wanted {animal2.eats}. "{Animal2.sound}," it '
        "said<tail>.",
        "<feeling_story>",
        "<S> [fell|slipped|tripped] and hurt {his} [knee|hand|toe|elbow|finger]. {elder} [kissed "
        "it|put a bandage on it|washed it|blew on it], and it was all right<tail>.",
    ),
    (
        MAYBE,
        '{elder} said, "Next {day} we can go {place2.to} and {place2.fun}."',
        "They bought {treat.a} and {toy2.a} to take home<tail>.",
        "When the sun <went> down, they [went|drove|walked|sailed] home. {hero} "
        "[slept|hummed|looked at the stars|held {his} {toy}]<tail>.",
    ),
    _SCENE,
    _END,
)

RESCUE: Beats = (
    ("<opening>",),
    _SCENE,
    (
        '<one_day>, {hero} <heard> a small sound {spot}. "{Animal.sound}, {animal.sound}." It was '
        "a baby {animal}[|, all alone|, wet and cold]<tail>.",
        "<one_day>, {he} <found> a baby animal {spot}<tail>. It was "
        "[lost|cold|hurt|hungry|afraid|stuck]. It was a little {animal}<tail>.",
        "<one_day>, {he} [walked|went|came] {place.to}. There sat a <size> {animal}. It could not "
        "find its [mother|way|home|friends]<tail>.",
    ),
    (
        '"[Where is your home|Are you lost|Do not cry|What is wrong], little {animal}?" asked '
        "{hero}. The {animal} [looked up|shook|blinked|came closer]<tail>.",
        "{hero} <gave> it <some> {animal.eats}, and it ate [a little|everything|them slowly|from "
        "{his} hand]<tail>.",
        '{hero} wrapped it in {his} {color} [scarf|coat|blanket|sweater|towel]. "{Animal.sound}," '
        "it said<tail>.",
        '<S> <ran> to {elder}. "I <found> {animal.a}!" "[What does it eat|Is it hurt|Can it '
        'walk|Where is its mother]?" <asked> {elder}<how>.',
    ),
    _ASIDE,
    (
        '"{Animal.plural} live {animal.lives}," <said> {elder}<how>. "[We must|Let us|You should] '
        'take it there."',
        '"Where do {animal.plural} live?" {he} asked {friend}. "They live {animal.lives}," said '
        "{friend}<tail>.",
        "{hero} knew that {animal.plural} live {animal.lives}. So {he} [carried it|took it|led "
        "it] there<tail>.",
        '<S> met {quiet.a}. "Excuse me, where does the {animal} live?" "{Animal.lives}," said the '
        '{quiet}. "But I live {quiet.lives}."',
    ),
    (
        "On the way they passed {thing.a}. It was {thing.color}. They [did not stop|rested "
        "there|went on]<tail>.",
        'They [went|walked|climbed|crept] past {animal2.a} that said "{animal2.sound}." The baby '
        "was [afraid|not afraid|curious]<tail>.",
        "It was far, but {hero} did not [stop|give up|complain|mind]. <S> [sang|whistled|counted "
        "to {many}|told the {animal} a story]<tail>.",
        "{friend} <came> too and carried {tool.a} to {tool.purpose}<tail>.",
    ),
    (
        '<then>, they heard a loud "{animal.sound}!" It was the mother. She [ran|came|hurried] to '
        "her baby<tail>.",
        "And there was the mother {animal}! She was [happy|glad|very happy] to see her little "
        "one<tail>.",
        "The {animal} was home at last. It [looked back|jumped for joy|went to its mother|said "
        '"{animal.sound}" to say thank you]<tail>.',
    ),
    (
        MAYBE,
        "The mother <gave> {hero} a <look> {item} [to keep|as a gift|to say thank you]<tail>.",
        '"Goodbye, little {animal}!" [called|said|whispered] {hero}. <S> [waved|cried a '
        "little|smiled|felt warm inside]<tail>.",
        '{friend} said, "You [are a hero|were kind|were brave], {hero}."',
        "Since then, {he} [visits|thinks of|draws|writes to] the {animal} every {day}<tail>.",
    ),
    _MOOD,
    _SCENE,
    _END,
)

WORK: Beats = (
    ("<opening>",),
    _SCENE,
    (
        '"What do you want to be when you grow up?" <asked> {elder}<how>. {hero} [did not '
        "know|thought about it|had many ideas|looked at the sky]<tail>.",
        "<one_day>, {hero} [met|saw|talked to|helped] {job.a}<tail>.",
        "{hero} and {friend} played grown-ups. {friend} put on {color.a} "
        "[hat|coat|apron|vest]<tail>.",
    ),
    (
        '"{Job.a} {job.does} and works {job.at}," <said> {elder}<how>.',
        '"I want to be {job.a}," <said> {hero}<how>. "{Job.a} {job.does}[| and uses {job.tool}]."',
        '"What does {job.a} do?" <asked> {hero}<how>. "{Job.a} {job.does}," <said> {elder}<how>.',
        '"Who works {job.at}?" <asked> {elder}<how>. "{Job.a}!" <cried> {hero}<how>.',
    ),
    _ASIDE,
    (
        '"And I want to be {job2.a}," <said> {friend}<how>. "{Job2.a} needs {job2.tool}."',
        '{friend} said, "My [mom|dad|uncle|aunt] is {job2.a} and works {job2.at}."',
        '"Is it hard to be {job2.a}?" <asked> {friend}<how>. "[Sometimes|Not at all|A little|You '
        'must learn a lot]," <said> {elder}<how>. "{Job2.a} {job2.does}."',
        '"Who needs {job2.tool}?" <asked> {friend}<how>. "{Job2.a}," <said> {hero}[| <happily>| '
        "without a stop]<tail>.",
    ),
    (
        "So they tried it. {hero} used {tool.a} to {tool.purpose}. [It was hard|It was easy|It "
        "took {few} minutes|{elder} showed {him} how]<tail>.",
        '"What is {tool.a} for?" <asked> {elder}<how>. "It is to {tool.purpose}," <said> '
        "{hero}<how>.",
        "<S> needed something to {tool.purpose}. {friend} brought {tool.a}. [That was right|Just "
        "the thing|It worked]<tail>.",
        '{elder} <gave> {him} {tool.a}. "You can {tool.purpose} with it," {elder.he} <said><how>.',
    ),
    _MOOD,
    (
        "<S> worked for {some} hours on {day} and {more} on {day.next}. <S> got {few} {color} "
        "{item.plural} as pay<tail>.",
        '<S> made a mistake and [spilled|broke|dropped|burned] something. "[Never mind|Try '
        'again|It is all right|Next time]," <said> {elder}<how>.',
        "<then>, {he} helped {third}, who [was stuck|had a problem|had hurt a finger|was lost]. "
        '"You would be a good {job}," <said> {third}<how>.',
        "In the evening, {he} [was tired|drew {job.a}|dreamed|told {elder2} everything|wrote "
        '"{job}" on a card]<tail>.',
    ),
    _SCENE,
    _END,
)

FABLE: Beats = (
    (
        "Long ago, a <size> {animal} named {petname} lived {animal.lives}<tail>.",
        "Once upon a time, there was a <size> {animal} called {petname}. {Petname.he} lived "
        "{animal.lives}<tail>.",
        "In <home_wild> there was {animal.a}. {Petname.his} name was {petname}, and {petname.he} "
        "liked {animal.eats} [best|more than anything|very much]<tail>.",
        "Far away, {petname} the {animal} [woke up|was bored|was hungry|looked for a "
        "friend|wanted to see the world]<tail>.",
    ),
    (
        "{Petname.he} had a friend, {quiet.a} named {petname2}. They met {spot2}[| every {day}| "
        "one {weather} day]<tail>.",
        'One {weather} day, {petname.he} met {petname2} the {quiet}. "Who are you?" <asked> '
        '{petname}<how>. "I am {quiet.a}. I live {quiet.lives}," <said> {petname2}<how>.',
        '"{Animal.sound}!" <cried> {petname}<how>. "[Who will play with me|Is anybody there|Who '
        'is my friend]?" A <size> {quiet} named {petname2} [heard it|came|looked '
        "out|smiled]<tail>.",
    ),
    (MAYBE, "<nature_s>, and <nature>.", "It was {weather}. {Weather.sign}."),
    (
        '"I have no {animal.eats}," <said> {petname}<how>. "I have {quiet.eats}," <said> '
        '{petname2}<how>. "But you do not eat that."',
        "They <found> {many} {fruit.plural} {spot}<tail>. {petname} wanted {fewer}, so {rest} "
        "were left for {petname2}<tail>.",
        'A <size> {animal2} <came> and [wanted their food|said "{animal2.sound}"|asked for '
        "help|was lost|laughed at them]. {petname} [was not afraid|hid {spot}|stood still|said "
        '"{animal.sound}"]<tail>.',
        "{petname} had a <look> {color} {item}. {petname2} <wanted> to see it, but {petname} hid "
        "it {spot}<tail>.",
        "They <wanted> to go {place.to}, but [it was far|the bridge was broken|it was dark|they "
        "did not know the way]<tail>.",
    ),
    (
        '"You are too [small|slow|big|loud|weak]," <said> {petname}<how>. "We will see," said '
        "{petname2}<tail>.",
        "{petname} {animal.moved} [fast|ahead|up the hill|away|around]. {petname2} {quiet.moved} "
        "[behind|after {petname.him}|the other way|slowly]<tail>.",
        '"Let us [work together|ask the {animal3}|make a plan|wait until {day}]," <said> '
        "{petname2}<how>.",
        '{petname} fell into a [hole|ditch|stream|trap|net]. "{Animal.sound}! Help!" {petname.he} '
        "cried<tail>.",
    ),
    (
        "{petname2} had an idea. {Petname2.he} used {tool.a} to {tool.purpose}. It "
        "[helped|worked|was just right]<tail>.",
        "{petname2} [pulled|called|dug|held on|did not give up] until all was well<tail>.",
        'They asked {animal3.a}. "{Animal3.sound}," it said and showed them the way '
        "{place2.to}<tail>.",
        "In the end, it was {petname2} who [won|found the way|saved the day|knew what to "
        "do]<tail>.",
    ),
    (
        '"Thank you," <said> {petname}<how>. "[I was wrong|You are my friend|I will not forget '
        'it|Let us share]."',
        "{petname} was sorry and <gave> {petname2} [half of everything|{fruit2.a}|some "
        "{quiet.eats}|a hug]<tail>.",
        "After that, {petname} lived {animal.lives}, and {petname2} lived {quiet.lives}, and they "
        "[met|played|talked|danced] every {day}<tail>.",
    ),
    (
        "The end.",
        "And so we learn that <wisdom>.",
        "They were friends [forever|from then on|all their lives|for {few} years]<tail>.",
        "And if they are not asleep, they are still [talking|playing|eating "
        '{fruit.plural}|singing "{animal.sound}"]<tail>.',
        '"Good night," <said> {petname}<how>. "Good night," <said> {petname2}<how>.',
        'That is why the {animal} says "{animal.sound}" to the {quiet}<tail>.',
    ),
)

GARDEN: Beats = (
    ("<opening>",),
    _SCENE,
    (
        '<one_day>, {elder} <gave> {him} {few} [seeds|little seeds|brown seeds]. "They will grow '
        'into {vegetable.plural}," {elder.he} <said><how>.',
        "{hero} <wanted> to grow {vegetable.plural}. <S> [dug|made|raked] a <look> bed "
        "<bed><tail>.",
        "{hero} and {friend} planted {vegetable.plural} <bed><tail>.",
    ),
    (
        "<S> used a [shovel|spade|rake|stick] to [dig a hole|make a row|loosen the soil]. Then "
        "{he} <put> {few} seeds in the ground<tail>.",
        "Every {day}, {he} [watered|checked|talked to|sang to] them<tail>.",
        '<S> waited and waited. "Why is nothing there?" {he} <asked><how>. "[Be patient|They need '
        'rain|They need sun|Seeds are slow]," <said> {elder}<how>.',
        "The first week was {weather}. {hero} wore {weather.wear} and [pulled weeds|carried "
        "water|waited|looked at the soil]<tail>.",
    ),
    _ASIDE,
    (
        'After {many} days, a [tiny|small|green] leaf came out. "<oh>!" <cried> {hero}<how>.',
        'A <size> {animal} <came> and <wanted> to eat it. "{Animal.sound}!" "[Go away|Shoo|No, '
        'no]," said {hero}. "You eat {animal.eats}!"',
        '{Quiet.a} {quiet.moved} over the leaves. "It helps us," <said> {elder}<how>.',
        "<feeling_story>",
    ),
    (
        "At last there were {many} {vegetable.plural}[| in the garden|, big and "
        "{vegetable.color}]<tail>.",
        "There were {some} {vegetable.plural} in one row and {more} in the other. That made "
        "{total}<tail>.",
        "{hero} <picked> {many} {vegetable.plural} and <gave> {fewer} to {friend}. <S> kept "
        "{rest}<tail>.",
        "The {vegetable.plural} were {vegetable.color} and {vegetable.taste}. {hero} was "
        "<glad><tail>.",
    ),
    (
        "{elder} made soup from the {vegetable.plural}. {hero} ate [two bowls|it all|with "
        "{friend}]<tail>.",
        '"{Vegetable.a} is a vegetable," {hero} told {third}. "And {fruit.a} is a fruit."',
        "<S> <put> them in a <look> [basket|box|bowl|sack]<tail>.",
    ),
    _SCENE,
    _END,
)

LEARN: Beats = (
    ("<opening>",),
    _SCENE,
    (
        "{hero} <wanted> to learn to {skill}. {friend} could do it [already|very well|with closed "
        "eyes]<tail>.",
        "All {his} friends could {skill}, but {hero} could not<tail>.",
        '<one_day>, {elder} said, "I will teach you to {skill}." {hero} was <glad><tail>.',
        '{hero} <saw> {friend} {skill}. "I want to do that too," {he} <said><how>.',
    ),
    (
        "<S> tried, but [it was hard|{he} fell|it did not work|it went wrong]. <S> tried {few} "
        "times<tail>.",
        "The first time, {he} [fell down|bumped {his} head|got scared|gave up]. The second time "
        "was [better|worse|no better|a bit better]<tail>.",
        '"I can\'t," <said> {hero}<how>. "[You can|Not yet|Try once more|Go slowly|It takes '
        'time]," said {elder}<tail>.',
        "<S> fell [on the <soft_thing>|{spot}|into the mud]. {friend} [laughed|helped {him} "
        'up|said, "Try again"|clapped]<tail>.',
    ),
    _MOOD,
    (
        "<S> practiced every {day} {place.at}<tail>.",
        "So {he} practiced for {many} days. <nature_s>, and {hero} did not stop<tail>.",
        '{friend} showed {him} a trick: "[Look ahead|Count to {few}|Breathe in|Think of '
        '{animal.a}|Hold on tight]."',
        "{elder} [held {his} hand|stood next to {him}|gave {him} {treat.a}|told {him} about the "
        "time when {elder.he} was small]<tail>.",
    ),
    _ASIDE,
    (
        '<then>, {he} did it! "<oh>! [I did it|Look at me|I can do it]!" <cried> {hero}<how>.',
        "And on {day}, it worked. <S> could {skill}!",
        "On the next try, {he} did it, once, then {few} times. [Nobody could stop {him}|{friend} "
        "cheered|{elder} took a picture]<tail>.",
    ),
    (
        MAYBE,
        "{friend} and {third} [clapped|cheered|ran to see|wanted to learn it too]<tail>.",
        "Then {hero} taught {third} to {skill}[|, and it took {few} days]<tail>.",
        "{elder} <gave> {him} {color.a} [ribbon|medal|star|card|cup]<tail>.",
    ),
    _SCENE,
    _END,
)

PLOT_RULES: dict[str, tuple[str, ...]] = {
    "one_day_low": (
        "one day",
        "one morning",
        "the next day",
        "one {weather} day",
        "on {day}",
        "that night",
        "after lunch",
        "before bed",
        "one evening",
        "last {day}",
    ),
    "joke": (
        "a {animal} in a hat",
        'a {animal} that said "{animal2.sound}"',
        "a king without a crown",
        "{few} {quiet.plural} in a boat",
        "a {color} moon",
        "a {fruit} that could talk",
        "a {toy} that ran away",
        "a giant with small shoes",
        "a sleepy {job}",
    ),
    "bed": (
        "by the wall",
        "behind the house",
        "near the fence",
        "in the yard",
        "next to the shed",
        "on the hill",
        "beside the path",
        "under the window",
        "in a row of pots",
        "at school",
    ),
    "cure": (
        "hug my {toy}",
        "sing",
        "eat {fruit.a}",
        "talk to {elder}",
        "count to {few}",
        "draw",
        "go outside",
        "take a deep breath",
        "think of {animal.plural}",
        "drink warm milk",
    ),
    "played_out": (
        "played outside",
        "ran around",
        "played with {toy.a}",
        "ate {fruit.plural}",
        "played tag",
        "skipped rope",
        "sat on the <soft_thing>",
        "looked for {item.plural}",
        "fed {animal.a}",
    ),
    "home_wild": (
        "a green valley",
        "a dark wood",
        "a faraway land",
        "a warm country",
        "a place with no name",
        "the land of {fruit.plural}",
        "a world before clocks",
        "a hidden corner of the hills",
    ),
}

PLOTS: dict[str, Beats] = {
    "lost": LOST,
    "share": SHARE,
    "count": COUNT,
    "animals": ANIMALS,
    "market": MARKET,
    "hide": HIDE,
    "comfort": COMFORT,
    "lesson": LESSON,
    "pet": PET,
    "party": PARTY,
    "trip": TRIP,
    "rescue": RESCUE,
    "work": WORK,
    "fable": FABLE,
    "garden": GARDEN,
    "learn": LEARN,
}


def plot_rules() -> dict[str, tuple[str, ...]]:
    """Return every plot as rules: `story` chooses a plot, a plot runs through its beats."""
    rules = dict(PLOT_RULES)
    for plot, beats in PLOTS.items():
        template = ""
        gap = "<_>" if plot == "fable" else "<gap>"  # a fable has no hero to look at on the side
        for i, beat in enumerate(beats):
            name = f"{plot}.{i}"
            optional = beat[0] == MAYBE
            rules[name] = beat[1:] if optional else beat
            last = i == len(beats) - 1
            step = f"<{name}>" if last else f"<{name}>{gap}"
            template += f"[{step}|]" if optional else step
        rules[plot] = (template,)
    rules["story"] = tuple(f"<{plot}>" for plot in PLOTS)
    return rules
