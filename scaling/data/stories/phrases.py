"""Sentences that any story may use: openings, asides, talk, endings.

Templates as in `grammar.py`, the likelier first. Rules of one letter or a few are the small
change of a sentence: `S` is the hero as a subject, `_` the gap between two sentences.

To keep one text to one reading: no alternative may write the same words as another, and two
optional beats of the same rule never stand side by side.
"""

from __future__ import annotations

from .scenes import SCENES
from .world import FEELINGS

SMALL: dict[str, tuple[str, ...]] = {
    "_": (" ", "\n"),
    "gap": (" ", " <tick> ", "\n", "\n<tick> "),
    "S": ("{He}", "{hero}", "The <little> {hero.kin}", "Little {hero}"),
    "very": ("very", "so", "really", "quite"),
    "nice": (
        "nice", "good", "lovely", "great", "fine", "wonderful", "sweet", "fun", "special",
        "perfect", "bright", "merry",
    ),
    "little": (
        "little", "small", "young", "kind", "happy", "clever", "cheerful", "brave", "quiet",
        "curious", "gentle", "funny", "busy", "polite", "silly", "shy", "lively", "careful",
        "friendly", "thoughtful", "smart", "dreamy", "patient", "playful", "hungry", "honest",
        "stubborn", "sleepy", "tidy", "messy", "bold", "sweet", "quick", "good", "serious", "calm",
        "daring", "helpful", "proud", "strong", "chatty", "tired", "lucky", "tall",
    ),
    "verb_play": (
        "run and jump", "sing songs", "draw pictures", "play outside", "tell jokes", "dance",
        "climb trees", "read books", "look at the clouds", "ride a bike", "bake with {his} family",
        "splash in puddles", "help others", "paint", "ask questions", "build towers", "hum a tune",
        "make new friends", "collect things", "swim", "look for bugs", "dress up", "skip rope",
        "feed the birds", "count the stars", "tell stories", "hop on one leg", "dig holes",
        "make paper hats", "whistle", "blow bubbles", "fold paper boats", "walk in the rain",
        "play the piano", "talk to the moon",
    ),
    "time": ("day", "morning", "afternoon", "evening", "weekend", "summer day", "spring morning"),
    "one_day": (
        "One day", "One morning", "One afternoon", "Today", "That day", "One {day}", "Last {day}",
        "One fine day", "After breakfast", "After lunch", "Early one morning", "One evening",
        "After a nap", "Right after school", "At noon", "On {day}",
    ),
    "then": (
        "Then", "Soon", "After that", "Next", "A little later", "Just then", "After a while",
        "Before long", "A moment later", "By and by", "Suddenly", "All at once", "In the end",
        "Not long after",
    ),
    "looked": ("looked", "peeked", "searched", "glanced", "checked", "took a look"),
    "found": ("found", "discovered", "came upon", "picked up", "spotted", "got"),
    "saw": ("saw", "noticed", "spotted", "met", "passed", "came upon"),
    "gave": ("gave", "handed", "passed", "brought", "offered"),
    "went": ("went", "walked", "ran", "hurried", "wandered", "skipped", "raced", "drifted"),
    "came": ("came", "turned up", "arrived", "rushed up", "appeared", "dropped in"),
    "wanted": ("wanted", "hoped", "wished", "longed", "planned", "meant"),
    "ran": ("ran", "raced", "rushed", "dashed", "hurried", "sped"),
    "put": ("put", "placed", "laid", "left", "set", "kept", "tucked"),
    "together": (" together", " side by side", " as a team", " with joy", ""),
    "picked": ("picked", "gathered", "pulled up", "collected", "dug up", "chose"),
    "ate": ("ate", "tasted", "finished", "munched", "enjoyed", "nibbled"),
    "heard": ("heard", "noticed", "caught"),
    "some": ("some", "plenty of", "lots of", "fresh", "enough", "more"),
    "tail": ("", "<besides>"),
    "besides": (
        ", and <nature>",
        ", while a <little> <person> <passing>",
        ", and the <worn> <object2> <lies>",
    ),
    "said": (
        "said", "answered", "explained", "replied", "whispered", "called", "added", "laughed",
        "murmured", "agreed", "mumbled", "giggled",
    ),
    "asked": ("asked", "said", "wondered", "called", "whispered", "demanded", "begged"),
    "cried": (
        "cried", "said", "shouted", "called", "laughed", "cheered", "sang", "yelled", "gasped",
        "squealed",
    ),
    "how": (
        "", " <happily>", " and <moved>", ", <holding> a <look> <object>", ", looking <toward>",
        " from <behind> the <look> <object>",
    ),
    "moved": (
        "smiled", "laughed", "nodded", "waved", "sat down", "pointed at the <object>", "stood up",
        "coughed", "looked away", "clapped", "began to <neutral>", "jumped", "stopped", "blushed",
        "turned around", "winked", "went on", "took a step back", "shrugged", "looked at the sky",
        "bent down", "touched the <object>", "giggled", "waited", "ran to the <object2>", "bowed",
        "sneezed", "grinned", "leaned on the <object>", "put down a <object>",
    ),
    "neutral": (
        "dance", "hum", "sing", "whistle", "cry", "laugh", "run", "jump", "eat", "count", "draw",
        "think", "hop", "clap", "dig", "sweep", "pack", "search", "skip", "spin", "snore", "climb",
    ),
    "holding": (
        "holding", "carrying", "cleaning", "painting", "pushing", "lifting", "drawing", "dropping",
        "fixing", "pulling", "moving", "hugging", "sitting on", "stepping over", "pointing at",
        "hiding behind", "looking for", "standing near", "dusting", "kicking",
    ),
    "toward": (
        "at the sky", "at the <look> <object>", "down", "around", "out of the window", "back",
        "surprised", "at the <worn> <object2>", "into the distance", "<feel>", "over one shoulder",
        "rather <quality>", "at {thing.a}", "for a <object>", "past the <object2>",
    ),
    "behind": (
        "behind", "beside", "the top of", "under", "near", "inside", "the other side of",
        "the shade of", "next to", "over by",
    ),
    "happily": (
        "with a smile", "happily", "with a big grin", "kindly", "in a soft voice", "loudly",
        "at once", "after a moment", "with a nod", "cheerfully", "in a tiny voice", "proudly",
        "with bright eyes", "between two giggles", "gently", "softly", "slowly", "with a wink",
        "right away", "quickly", "in a sleepy voice", "very seriously", "shyly", "bravely",
        "from far away", "all in one breath", "with a deep sigh", "politely", "without thinking",
        "over and over", "rather sternly", "like a queen", "warmly", "firmly", "in surprise",
        "with a shrug", "once more", "from the doorway", "sadly", "as if in a dream",
        "with a frown", "in a deep voice", "just for fun", "grandly", "out of breath",
        "half asleep", "sweetly", "in a whisper",
    ),
    "glad": (
        "happy", "glad", "so happy", "pleased", "full of joy", "very happy", "cheerful",
        "relieved", "thankful", "delighted", "as happy as could be", "overjoyed", "all smiles",
        "tickled pink",
    ),
    "oh": (
        "Oh", "Wow", "Look", "Hey", "Hooray", "Oh my", "Yay", "Goodness", "Listen", "Well",
        "Hurrah", "My, my", "Dear me",
    ),
    "yes": (
        "Yes", "Of course", "Sure", "Okay", "All right", "Yes, please", "That sounds fun",
        "Good idea", "Why not", "With pleasure", "Let us do it", "I would love to",
    ),
    "thanks": (
        "Thank you", "Thank you so much", "Thanks", "Thank you, {hero}", "You are so kind",
        "How nice of you", "Thanks a lot", "You are a real friend", "I will never forget this",
        "That is very good of you",
    ),
    "size": (
        "big", "small", "little", "tiny", "huge", "fat", "tall", "round", "funny", "shiny",
        "fluffy", "lazy", "noisy", "sleepy", "hungry", "wet", "fuzzy", "friendly", "brave",
        "muddy", "spotted", "clumsy", "graceful", "bold", "shy", "plump", "skinny", "grumpy",
        "gentle", "curious", "clever", "thirsty", "young", "playful", "nervous", "cheeky", "quick",
        "tame", "wild", "polite", "dusty", "proud", "silly", "long-legged", "short", "beautiful",
        "rare", "merry",
    ),
    "look": (
        "nice", "new", "shiny", "pretty", "big", "soft", "small", "smooth", "lovely", "bright",
        "round", "strong", "wooden", "tiny", "fine", "funny", "simple", "special", "dusty", "neat",
        "heavy", "painted", "long", "plain", "broken", "warm", "light", "striped", "clean",
        "fancy", "secret", "flat", "rusty", "curved", "cheap", "rare", "borrowed", "lucky",
        "crooked", "thin", "folded", "forgotten", "handmade", "spotted", "sturdy", "famous",
        "dented", "silky",
    ),
    "soft_thing": (
        "soft grass", "green grass", "old bench", "front steps", "kitchen floor", "big rug",
        "warm sand", "wooden fence", "low wall", "flat rock", "tree stump", "top step",
        "red blanket", "porch swing", "garden path",
    ),
    "walked": (
        "walked", "ran", "skipped", "went", "hurried", "marched", "strolled", "raced", "wandered",
        "tiptoed", "hopped", "rushed", "jogged", "danced",
    ),
}

OPENINGS: dict[str, tuple[str, ...]] = {
    "who": (
        "a <little> {hero.kin} named {hero}",
        "a {hero.kin} named {hero}",
        "a <little> {hero.kin} whose name was {hero}",
        "a {hero.kin} with [brown|big|blue|green|bright|dark] eyes named {hero}",
        "a {hero.kin} called {hero}",
    ),
    "opening": (
        "Once upon a time, there was <who>.<_><S> [loved|liked|always wanted] to <verb_play>.",
        "Once upon a time, there was <who>. {He} lived [in|near|beside|close to] <home>.",
        "There once was <who>. <S> [loved|liked] to <verb_play1>[| and to <verb_play2>].",
        "{hero} was a <little> {hero.kin}. Every [day|morning|evening|{day}], {he} liked to "
        "<verb_play>.",
        "It was a {weather} <time>, and {weather.sign}. <little_hero>",
        "<one_day>, <who> [woke up|got up|jumped out of bed] [early|late|with a smile|feeling "
        "<feel>|before the sun|with a yawn|to the smell of {treat.plural}].",
        "Long ago, <who> lived in <home>. <S> was <known>.",
        "This is a story about <who>. {He} was <known>.",
        "Do you know {hero}? {He} is a <little> {hero.kin} who [loves|likes] to <verb_play>.",
        "In <home> lived <who>. {His} favorite color was {hue}.",
        "{hero} and {his} [family|mom and dad|grandparents|big sister|little brother|cousins] "
        "lived in <home>. <S> was <known>.",
        "On a {weather} {day}, {weather.sign}, so {hero} put on {weather.wear}. {He} [loved|did "
        "not like|enjoyed] {weather} days.",
    ),
    "little_hero": (
        "{hero} put on {weather.wear} and [went|ran|skipped] outside.",
        "{hero}'s mom said, \"You need {weather.wear} [today|when it is {weather}|now], dear.\"",
        '"Please [wear|take|put on] {weather.wear}," said {elder} to {hero}, and {he} did.',
        "{hero} looked out of the window and [smiled|sighed|laughed|clapped {his} hands|waved].",
    ),
    "home": (
        "a little house", "a small village", "a big city", "a red house on a hill",
        "a cottage by the sea", "a quiet street", "a tall building", "a busy town", "a farmhouse",
        "a house with a <size> garden", "a snug cabin", "a tent in the woods", "a white house",
        "a houseboat", "a valley full of flowers", "a town near the mountains", "an old mill",
        "a flat above a bakery",
    ),
    "known": (
        "very good at <skill>",
        "always ready to help",
        "never [sad|late|bored|cross] for long",
        "the youngest in the family",
        "almost [five|six|seven|eight] years old",
        "known for {his} [big smile|red boots|loud laugh|curly hair|kind heart|funny hats|good "
        "jokes|freckles|neat braids|missing tooth]",
        "a bit shy",
        "full of ideas",
        "fond of {treat.plural}",
        "afraid of [spiders|the dark|loud noises|deep water|big dogs]",
        "learning about <skill>",
    ),
    "skill": (
        "drawing", "singing", "running", "counting", "swimming", "cooking", "reading", "dancing",
        "telling stories", "climbing", "making friends", "jumping", "puzzles", "whistling",
        "gardening", "listening", "riding", "skating", "knitting", "magic tricks",
    ),
    "feel": (
        "happy", "sleepy", "excited", "hungry", "brave", "cheerful", "a bit sad", "very hungry",
        "strong", "lazy", "grumpy", "rested", "ready for anything", "curious",
    ),
    "hello": (
        "{His} friend {friend} came [over|by|along|to play|to visit|to the door].",
        "{He} met {friend} on the [way|road|path|corner|steps|bridge|playground].",
        '"Hello, {friend}!" [said|called|shouted|sang] {hero}. "[Do you want to play|How are '
        "you|Where are you going|Will you come with me|Isn't this a <nice> day]?\"",
        "{hero} had a [good|best|new|dear|funny|old] friend. {Friend.his} name was {friend}.",
        "A {friend.kin} named {friend} [was there too|came to join {him}|waved at {him}|wanted to "
        "play|lived next door|sat nearby].",
        "{friend}, the {friend.kin} from [next door|across the street|the school|the big "
        "house|the farm|the corner shop], [waved|smiled|came running|said hello|was bored].",
        "{His} cousin {friend} was [staying for the week|there as well|visiting|at the door].",
    ),
}

_MERRY = {"happy", "proud", "surprised", "excited"}  # nobody needs comfort for these

ASIDES: dict[str, tuple[str, ...]] = {
    "aside": (
        'A <size> {beast.name} [{beast.moved} by|{beast.moved} past] and said, "{Beast.sound}!"',
        "The sky was [blue|full of clouds|bright|clear|gray|pink], and <nature>.",
        "<nature_s>, and <nature>.",
        "<S> [saw|spotted|noticed] a <size> {critter}. It {critter.moved} [away|along|around|off] "
        "[slowly|quickly|without a sound|in the sun|in a hurry|bit by bit].",
        "On the way, there was {thing.a} {thing.where}. It was {thing.color}[|, as always|, of "
        "course|, like all {thing.plural}].",
        "<S> hummed a [little|happy|silly|soft|new|merry] [song|tune] about {beast2.a} that ate "
        "{beast2.eats}.",
        "{He} ate {snack.a}. It was {snack.color} and {snack.taste}.",
        "The air smelled of <smell>[| and <smell2>].",
        "<S> wore {hue.a} [hat|shirt|coat|scarf|sweater|cap|ribbon|pair of socks] and <look> "
        "[shoes|boots|sandals|mittens|gloves].",
        "In {his} pocket {he} had {few} {trinket.plural} and a <look> {trinket2}.",
        'Somewhere, {beast.a} went "{beast.sound}, {beast.sound}."',
        "A <size> {critter} that lived {critter.lives} [looked at {him}|watched|hid|peeked "
        "out|was eating {critter.eats}].",
        "It was {day}. [The next day would be|Tomorrow would be|After that comes] {day.next}.",
        "{He} thought about {treat.plural} and [licked {his} lips|smiled|got "
        "hungry|sighed|laughed|rubbed {his} tummy].",
        "{He} stopped to look at {thing.a}, as {thing.color} as [can be|ever|any other].",
    ),
    "nature": (
        "the birds were singing", "a soft wind blew", "the trees were green", "the sun was warm",
        "the leaves danced", "bees buzzed in the flowers", "it smelled like rain",
        "everything was quiet", "the grass was wet", "the flowers were open", "a rainbow came out",
        "the shadows were long", "the pond was still", "the path was dusty", "the branches swayed",
        "a bell rang far away", "the hills looked soft", "drops hung on every twig",
        "the first star came out", "the puddles shone", "the light was golden",
        "smoke rose from a chimney", "a kite was up high", "it was getting late", "nobody minded",
        "the wind had stopped", "the snow was melting", "a door creaked",
        "the leaves were turning red", "crickets chirped", "the air was cool", "the moon was thin",
        "the day was young", "the ice was thick", "a boat went by", "there was dew on the grass",
        "the bells had stopped", "the corn was ripe", "all was well",
    ),
    "nature_s": (
        "The birds were busy",
        "A cloud like a <size> {beast} went by",
        "The wind was playing",
        "The sun hid for a moment",
        "Butterflies danced around",
        "A plane hummed high up",
        "The day was [warm|cool|long|still young|almost over|bright|windy]",
        "The street was [empty|busy|quiet|wet|full of people]",
        "A cool breeze came",
        "The moon was already up",
        "Little drops fell from the leaves",
        "Spring was near",
    ),
    "smell": (
        "flowers", "fresh bread", "grass", "rain", "soup", "{treat.plural}", "pine trees",
        "the sea", "hay", "apple pie", "wet earth", "soap", "roses", "smoke", "paint", "mint",
    ),
    "smell2": (
        "honey", "dust", "warm milk", "leaves", "old books", "cinnamon", "sunshine", "mud",
        "vanilla", "sawdust", "popcorn", "ripe {snack.plural}",
    ),
    "feeling_story": tuple(
        f"<S> [felt|was] [|<very> ]{feeling.name} because [{'|'.join(feeling.causes)}]. "
        f"{{He}} {feeling.shows}[ and <did_{feeling.name}>|]."
        for feeling in FEELINGS
    ),
    "friend_feels": tuple(
        f"{{friend}} looked {feeling.name}[ <today>|]. \"[Why are you {feeling.name}|What "
        f"[happened|is it|is the matter]|Are you all right]?\" <asked> {{hero}}. \""
        f"[Because|It is because|I am {feeling.name} because] "
        f"[{'|'.join(_first_person)}],\" {{friend.he}} said."
        for feeling in FEELINGS
        if feeling.name not in _MERRY
        and (_first_person := [c for c in feeling.causes if "{" not in c])
    ),
    "today": ("today", "that day", "all morning", "all of a sudden", "again"),
}

_REACTIONS = {
    "happy": "began to <verb_play>|clapped|sang|hugged everyone|danced around|ran in circles",
    "sad": "sat down|went to {his} room|wiped {his} eyes|did not want to eat|looked for {elder}",
    "angry": "shouted|turned red|kicked a stone|ran off|made a fist|would not talk",
    "scared": "called for help|closed {his} eyes|held {his} breath|shook all over|stayed still",
    "tired": "lay down|closed {his} eyes|fell asleep|asked for a pillow|went to bed",
    "proud": "told everyone|smiled all day|showed {elder}|called {his} grandparents|beamed",
    "hungry": "asked for {treat.a}|looked in the kitchen|ate {snack.a}|set the table",
    "shy": "hid behind {elder}|said nothing|turned pink|held on to {his} {plaything}|spoke softly",
    "bored": "counted the tiles|looked out of the window|drew in the dust|rolled {his} eyes",
    "sorry": "said so|wanted to make it right|wrote a card|promised to be good|blushed",
    "surprised": "laughed|opened {his} mouth wide|blinked|said \"Oh!\"|dropped {his} {plaything}",
    "thirsty": "felt better|asked for more|filled the cup again|said \"Ah!\"|wiped {his} mouth",
    "jealous": "did not speak|frowned|bit {his} lip|walked away|felt bad about it",
    "lonely": "waited by the window|talked to {his} {plaything}|missed {elder}|wrote a letter",
    "excited": "could not sit still|told {elder}|laughed out loud|packed {his} bag|sang a song",
}
ASIDES |= {f"did_{name}": (f"[{options}]",) for name, options in _REACTIONS.items()}

ENDINGS: dict[str, tuple[str, ...]] = {
    "ending": (
        "Everyone was <glad>.",
        "From that day on, {hero} [always tried to|never forgot to|wanted to] <moral>.",
        "<S> went home <feel_end>.",
        "That night, {hero} [dreamed of|thought about|told {elder} about] <dream>.",
        "And they all lived happily ever after.",
        "It was the [best|nicest|funniest|happiest|longest|strangest] {day} [ever|of the year|of "
        "{his} life|in a long time].",
        "{hero} learned that <wisdom>.",
        '"What a <nice> day!" [said|sighed|whispered|thought] {hero}[| and yawned| before bed].',
        "{He} could not wait for {day}.",
        '{elder} [hugged|kissed|praised|smiled at] {him} and said, "[I am proud of you|You did '
        'well|Well done|You are a star|What a good {hero.kin} you are|I love you]."',
        "The end.",
        "And for supper there were {treat.plural}[ for everyone| and {snack.plural}|].",
        '"Let us do it again [tomorrow|soon|on {day}|next week|one day]," [said {hero}|they '
        "said|{he} said].",
    ),
    "moral": (
        "be kind", "help others", "share", "listen to {elder}", "look where {he} walked",
        "say thank you", "tell the truth", "try again", "be brave", "take turns", "ask for help",
        "count twice", "put things back", "smile at new children", "wait for a friend",
        "think first", "be gentle with animals",
    ),
    "feel_end": (
        "with a smile", "happy", "tired but happy", "hand in hand with {elder}", "singing",
        "before dark", "in time for dinner", "with muddy shoes", "full of ideas", "on tiptoe",
        "feeling proud", "with a new friend", "with a full tummy", "under the stars",
    ),
    "dream": (
        "{beast.plural}", "the day", "a <size> {beast}", "flying", "{treat.plural}", "the moon",
        "a land of {plaything.plural}", "a {hue} castle", "the sea", "far countries",
        "a boat full of {snack.plural}", "snow", "all {his} friends", "a talking {critter}",
    ),
    "wisdom": (
        "sharing is fun", "friends help each other", "it is good to ask", "it is okay to cry",
        "being kind feels good", "you should never give up", "it pays to look twice",
        "small things matter", "everyone makes mistakes", "a smile helps",
        "two can do more than one", "honest words are best", "waiting is hard but worth it",
        "nobody is too small to help", "practice makes it easy", "home is the best place",
        "it is wise to be careful",
    ),
}



DEALT = {
    "verb_play": 2, "gesture": 2, "dish": 2, "noise": 2, "view": 3, "game": 3, "quality": 2,
    "possession": 2, "plant": 2, "doing": 2,
}


def _dealt(rules: dict[str, tuple[str, ...]], name: str, hands: int) -> dict[str, tuple[str, ...]]:
    """Deal a rule out into `name1`, `name2`...: lists whose members never repeat each other."""
    return {f"{name}{hand + 1}": rules[name][hand::hands] for hand in range(hands)}


def phrase_rules() -> dict[str, tuple[str, ...]]:
    """Return every rule that is not a plot's own."""
    rules = SMALL | OPENINGS | SCENES | ASIDES | ENDINGS
    for name, hands in DEALT.items():
        rules |= _dealt(rules, name, hands)
    return rules
