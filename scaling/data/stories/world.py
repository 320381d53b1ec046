"""The facts of the stories' world: what every story agrees on, and what questions may ask.

Each table is a tuple of frozen rows, the commonest first (rows are drawn by rank). A fact stands
here once: a cow says "moo" in every story, and a carrot is a vegetable in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

_ARTICLE_BY_SOUND = {"unicorn": "a", "ukulele": "a", "hour": "an"}


def with_article(noun: str) -> str:
    """Return the noun after its indefinite article: a cow, an owl, a unicorn."""
    article = _ARTICLE_BY_SOUND.get(noun, "an" if noun[0].lower() in "aeiou" else "a")
    return f"{article} {noun}"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with a name; `kin` is the common noun that fits them (boy, mom, teacher)."""

    name: str
    female: bool
    kin: str

    @property
    def he(self) -> str:
        """The subject pronoun."""
        return "she" if self.female else "he"

    @property
    def him(self) -> str:
        """The object pronoun."""
        return "her" if self.female else "him"

    @property
    def his(self) -> str:
        """The possessive before a noun."""
        return "her" if self.female else "his"

    @property
    def himself(self) -> str:
        """The reflexive pronoun."""
        return "herself" if self.female else "himself"


@dataclass(frozen=True, slots=True)
class Noun:
    """A countable thing."""

    name: str
    plural: str

    @property
    def a(self) -> str:
        """The noun with its indefinite article."""
        return with_article(self.name)

    @property
    def the(self) -> str:
        """The noun with the definite article."""
        return f"the {self.name}"


@dataclass(frozen=True, slots=True)
class Animal(Noun):
    """An animal: the sound it makes, where it lives, what it eats, its young, how it moved."""

    sound: str
    lives: str
    eats: str
    baby: str
    moved: str

    @property
    def a_baby(self) -> str:
        """Its young with the indefinite article."""
        return with_article(self.baby)


@dataclass(frozen=True, slots=True)
class Food(Noun):
    """A fruit or a vegetable, with its one color and taste."""

    kind: str
    color: str
    taste: str


@dataclass(frozen=True, slots=True)
class Toy(Noun):
    """A toy and what one does with it, in the forms `play with`, `played with`."""

    play: str
    played: str


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to go: `at` and `to` with its article, a thing seen there, and a thing done."""

    the: str
    at: str
    sight: str
    fun: str

    @property
    def name(self) -> str:
        """The place with its article."""
        return self.the

    @property
    def to(self) -> str:
        """The way there."""
        return f"to {self.the}"


@dataclass(frozen=True, slots=True)
class Word:
    """A plain word: a color, a hiding spot, a day."""

    name: str

    @property
    def a(self) -> str:
        """The word with the indefinite article."""
        return with_article(self.name)


@dataclass(frozen=True, slots=True)
class Number(Word):
    """A whole number from one to twenty, in words and in digits."""

    value: int

    @property
    def digits(self) -> str:
        """The number in digits."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Day(Word):
    """A day of the week and the one that follows it."""

    next: str


@dataclass(frozen=True, slots=True)
class Opposites(Word):
    """A word and its opposite."""

    opposite: str


@dataclass(frozen=True, slots=True)
class Fixed(Noun):
    """Something that always has the same color; `where` it is seen."""

    color: str
    where: str


@dataclass(frozen=True, slots=True)
class Job(Noun):
    """A job: what is done in it, where, and with what."""

    does: str
    at: str
    tool: str


@dataclass(frozen=True, slots=True)
class Tool(Noun):
    """A household thing and what it is for."""

    purpose: str


@dataclass(frozen=True, slots=True)
class Weather:
    """A kind of weather: how the day is called, what is seen, and what one puts on or takes."""

    name: str
    sign: str
    wear: str


@dataclass(frozen=True, slots=True)
class Feeling:
    """A feeling, what shows it, and its causes, as templates about the hero."""

    name: str
    shows: str
    causes: tuple[str, ...]


def _words(text: str) -> list[str]:
    return text.split()


def _people(names: str, female: bool) -> list[Person]:
    return [Person(name, female, "girl" if female else "boy") for name in names.split()]


_GIRLS = _people(
    "Lily Mia Anna Sara Emma Lucy Ella Nora Zoe Ruby Rosa Clara Molly Amy Kate Jane Alice Eva "
    "Ivy Maya Tina Nina Leah Grace Hannah Julia Daisy Sophie Chloe Poppy Holly Penny Maria Olga "
    "Freya Greta Ingrid Yuki Priya Amina Fatima Leila Carmen Elena Irene Judy Wendy Bella Stella "
    "Hazel Fiona Tessa Naomi Edith Martha Joy Abby Becky Dora Gina",
    female=True,
)
_BOYS = _people(
    "Tom Ben Tim Max Sam Jack Leo Finn Noah Adam Luke Mark Peter Paul Oscar Henry Theo Jake Ryan "
    "Dan Joe Nick Alex Hugo Felix Simon Omar Ali Ravi Kenji Diego Carlos Pablo Marco Luca Ivan "
    "Igor Anton Jonas Erik Lars Otto Emil Bruno Victor Walter Arthur Edgar Frank George Harry "
    "Jimmy Kevin Louis Martin Nathan Oliver Ralph Toby Zack",
    female=False,
)
CHILDREN = tuple(child for pair in zip(_GIRLS, _BOYS, strict=True) for child in pair)

GROWNUPS = (
    Person("Mom", True, "mom"),
    Person("Dad", False, "dad"),
    Person("Grandma", True, "grandma"),
    Person("Grandpa", False, "grandpa"),
    Person("Aunt May", True, "aunt"),
    Person("Uncle Bob", False, "uncle"),
    Person("Mrs. Green", True, "teacher"),
    Person("Mr. Hill", False, "neighbor"),
    Person("Aunt Vera", True, "aunt"),
    Person("Uncle Gus", False, "uncle"),
    Person("Mrs. Bell", True, "neighbor"),
    Person("Mr. Stone", False, "teacher"),
)

PET_NAMES = tuple(
    Person(name, i % 2 == 0, "girl" if i % 2 == 0 else "boy")
    for i, name in enumerate(
        _words(
            "Luna Spot Fluffy Rex Snowy Buddy Ginger Patch Princess Rocky Honey Scout Cookie "
            "Bingo Pearl Biscuit Peaches Pepper Misty Smoky Sugar Sandy Goldie Ziggy Velvet "
            "Pickles Cinnamon Waffles Bubbles Nibbles Pixie Tiger Muffin Bandit Clover Rusty"
        )
    )
)

ANIMALS = (
    Animal("dog", "dogs", "woof", "in a kennel", "bones", "puppy", "ran"),
    Animal("cat", "cats", "meow", "in a house", "fish", "kitten", "crept"),
    Animal("bird", "birds", "tweet", "in a nest", "seeds", "chick", "flew"),
    Animal("cow", "cows", "moo", "in a barn", "grass", "calf", "walked"),
    Animal("duck", "ducks", "quack", "on a pond", "bread", "duckling", "waddled"),
    Animal("pig", "pigs", "oink", "in a sty", "corn", "piglet", "trotted"),
    Animal("sheep", "sheep", "baa", "in a meadow", "grass", "lamb", "walked"),
    Animal("horse", "horses", "neigh", "in a stable", "hay", "foal", "galloped"),
    Animal("frog", "frogs", "ribbit", "in a pond", "flies", "tadpole", "hopped"),
    Animal("bee", "bees", "buzz", "in a hive", "nectar", "grub", "flew"),
    Animal("mouse", "mice", "squeak", "in a hole", "cheese", "pup", "scurried"),
    Animal("hen", "hens", "cluck", "in a coop", "corn", "chick", "strutted"),
    Animal("owl", "owls", "hoot", "in a hollow tree", "mice", "owlet", "flew"),
    Animal("lion", "lions", "roar", "in a den", "meat", "cub", "ran"),
    Animal("goat", "goats", "maa", "in a pen", "leaves", "kid", "jumped"),
    Animal("rooster", "roosters", "cock-a-doodle-doo", "in a coop", "grain", "chick", "strutted"),
    Animal("bear", "bears", "growl", "in a cave", "honey", "cub", "lumbered"),
    Animal("monkey", "monkeys", "ooh-ooh", "in a jungle", "bananas", "baby monkey", "swung"),
    Animal("snake", "snakes", "hiss", "in a burrow", "eggs", "hatchling", "slid"),
    Animal("crow", "crows", "caw", "in a nest", "worms", "chick", "flew"),
    Animal("donkey", "donkeys", "hee-haw", "in a stable", "thistles", "foal", "trotted"),
    Animal("wolf", "wolves", "howl", "in a den", "meat", "pup", "ran"),
    Animal("elephant", "elephants", "toot", "on the plains", "leaves", "calf", "stomped"),
    Animal("goose", "geese", "honk", "on a lake", "grass", "gosling", "waddled"),
    Animal("turkey", "turkeys", "gobble", "in a pen", "grain", "poult", "strutted"),
    Animal("pigeon", "pigeons", "coo", "in a loft", "crumbs", "squab", "flew"),
    Animal("cricket", "crickets", "chirp", "in a field", "leaves", "young cricket", "hopped"),
    Animal("seal", "seals", "arf", "in the sea", "fish", "pup", "swam"),
    Animal("parrot", "parrots", "squawk", "in a cage", "nuts", "chick", "flew"),
    Animal("fox", "foxes", "yip", "in a den", "berries", "kit", "trotted"),
    Animal("squirrel", "squirrels", "chatter", "in a tree", "acorns", "kit", "climbed"),
    Animal("dove", "doves", "coo-coo", "in a dovecote", "seeds", "squab", "flew"),
    Animal("mosquito", "mosquitoes", "zzz", "in a swamp", "nectar", "larva", "flew"),
    Animal("gull", "gulls", "mew", "on a cliff", "crabs", "chick", "flew"),
    Animal("zebra", "zebras", "bray", "on the plains", "grass", "foal", "galloped"),
    Animal("woodpecker", "woodpeckers", "tap-tap", "in a hollow tree", "bugs", "chick", "flew"),
    Animal("raven", "ravens", "croak", "on a cliff", "eggs", "chick", "flew"),
    Animal("ox", "oxen", "low", "in a barn", "hay", "calf", "plodded"),
    Animal("walrus", "walruses", "grunt", "on the ice", "clams", "calf", "slid"),
    Animal("hyena", "hyenas", "hee-hee", "in a den", "bones", "cub", "ran"),
)

# Animals that say nothing in the stories, but have a home, a meal and a way of moving.
QUIET_ANIMALS = (
    Animal("rabbit", "rabbits", "", "in a burrow", "carrots", "bunny", "hopped"),
    Animal("fish", "fish", "", "in a tank", "flakes", "fry", "swam"),
    Animal("butterfly", "butterflies", "", "in a garden", "nectar", "caterpillar", "fluttered"),
    Animal("spider", "spiders", "", "in a web", "flies", "spiderling", "crawled"),
    Animal("ant", "ants", "", "in an anthill", "crumbs", "larva", "marched"),
    Animal("turtle", "turtles", "", "in a shell", "lettuce", "hatchling", "crawled"),
    Animal("snail", "snails", "", "in a shell", "leaves", "hatchling", "crept"),
    Animal("deer", "deer", "", "in a forest", "leaves", "fawn", "leaped"),
    Animal("hamster", "hamsters", "", "in a cage", "seeds", "pup", "scurried"),
    Animal("ladybug", "ladybugs", "", "in a garden", "aphids", "grub", "crawled"),
    Animal("worm", "worms", "", "in the soil", "leaves", "hatchling", "wriggled"),
    Animal("whale", "whales", "", "in the sea", "krill", "calf", "swam"),
    Animal("penguin", "penguins", "", "on the ice", "fish", "chick", "waddled"),
    Animal("camel", "camels", "", "in the desert", "thorns", "calf", "plodded"),
    Animal("hedgehog", "hedgehogs", "", "in a hedge", "slugs", "hoglet", "shuffled"),
    Animal("beaver", "beavers", "", "in a dam", "bark", "kit", "paddled"),
    Animal("mole", "moles", "", "in a tunnel", "worms", "pup", "dug"),
    Animal("kangaroo", "kangaroos", "", "in the desert", "grass", "joey", "bounced"),
    Animal("crab", "crabs", "", "on a beach", "seaweed", "hatchling", "scuttled"),
    Animal("giraffe", "giraffes", "", "on the plains", "leaves", "calf", "strolled"),
    Animal("swan", "swans", "", "on a lake", "weeds", "cygnet", "glided"),
    Animal("bat", "bats", "", "in a cave", "moths", "pup", "flapped"),
    Animal("otter", "otters", "", "in a river", "crabs", "pup", "dived"),
    Animal("koala", "koalas", "", "in a gum tree", "leaves", "joey", "climbed"),
)

FRUITS = (
    Food("apple", "apples", "fruit", "red", "sweet"),
    Food("banana", "bananas", "fruit", "yellow", "sweet"),
    Food("orange", "oranges", "fruit", "orange", "juicy"),
    Food("pear", "pears", "fruit", "green", "juicy"),
    Food("strawberry", "strawberries", "fruit", "red", "sweet"),
    Food("grape", "grapes", "fruit", "purple", "sweet"),
    Food("peach", "peaches", "fruit", "pink", "juicy"),
    Food("cherry", "cherries", "fruit", "red", "sweet"),
    Food("lemon", "lemons", "fruit", "yellow", "sour"),
    Food("plum", "plums", "fruit", "purple", "juicy"),
    Food("melon", "melons", "fruit", "green", "juicy"),
    Food("blueberry", "blueberries", "fruit", "blue", "sweet"),
    Food("mango", "mangoes", "fruit", "orange", "sweet"),
    Food("lime", "limes", "fruit", "green", "sour"),
    Food("raspberry", "raspberries", "fruit", "pink", "sweet"),
    Food("kiwi", "kiwis", "fruit", "brown", "tangy"),
    Food("coconut", "coconuts", "fruit", "brown", "milky"),
    Food("pineapple", "pineapples", "fruit", "yellow", "tangy"),
    Food("apricot", "apricots", "fruit", "orange", "soft"),
    Food("fig", "figs", "fruit", "purple", "soft"),
    Food("cranberry", "cranberries", "fruit", "red", "sour"),
    Food("papaya", "papayas", "fruit", "orange", "soft"),
)

VEGETABLES = (
    Food("carrot", "carrots", "vegetable", "orange", "crunchy"),
    Food("potato", "potatoes", "vegetable", "brown", "plain"),
    Food("pea", "peas", "vegetable", "green", "sweet"),
    Food("bean", "beans", "vegetable", "green", "plain"),
    Food("onion", "onions", "vegetable", "white", "strong"),
    Food("pumpkin", "pumpkins", "vegetable", "orange", "soft"),
    Food("cabbage", "cabbages", "vegetable", "green", "crunchy"),
    Food("radish", "radishes", "vegetable", "pink", "sharp"),
    Food("beet", "beets", "vegetable", "purple", "earthy"),
    Food("turnip", "turnips", "vegetable", "white", "bitter"),
    Food("leek", "leeks", "vegetable", "green", "mild"),
    Food("mushroom", "mushrooms", "vegetable", "brown", "soft"),
    Food("eggplant", "eggplants", "vegetable", "purple", "soft"),
    Food("artichoke", "artichokes", "vegetable", "green", "nutty"),
    Food("parsnip", "parsnips", "vegetable", "white", "sweet"),
    Food("yam", "yams", "vegetable", "orange", "sweet"),
    Food("cauliflower", "cauliflowers", "vegetable", "white", "mild"),
    Food("cucumber", "cucumbers", "vegetable", "green", "watery"),
)

TOYS = (
    Toy("ball", "balls", "roll", "rolled"),
    Toy("doll", "dolls", "dress", "dressed"),
    Toy("kite", "kites", "fly", "flew"),
    Toy("teddy bear", "teddy bears", "hug", "hugged"),
    Toy("toy car", "toy cars", "race", "raced"),
    Toy("drum", "drums", "beat", "beat"),
    Toy("puzzle", "puzzles", "solve", "solved"),
    Toy("toy boat", "toy boats", "float", "floated"),
    Toy("toy train", "toy trains", "push", "pushed"),
    Toy("balloon", "balloons", "hold", "held"),
    Toy("yo-yo", "yo-yos", "spin", "spun"),
    Toy("jump rope", "jump ropes", "swing", "swung"),
    Toy("toy plane", "toy planes", "throw", "threw"),
    Toy("scooter", "scooters", "ride", "rode"),
    Toy("whistle", "whistles", "blow", "blew"),
    Toy("puppet", "puppets", "wave", "waved"),
    Toy("marble", "marbles", "flick", "flicked"),
    Toy("toy robot", "toy robots", "wind up", "wound up"),
    Toy("frisbee", "frisbees", "toss", "tossed"),
    Toy("rocking horse", "rocking horses", "rock", "rocked"),
    Toy("horn", "horns", "toot", "tooted"),
    Toy("spinning top", "spinning tops", "twirl", "twirled"),
    Toy("music box", "music boxes", "open", "opened"),
    Toy("tricycle", "tricycles", "pedal", "pedaled"),
    Toy("toy truck", "toy trucks", "load", "loaded"),
    Toy("hoop", "hoops", "turn", "turned"),
    Toy("bell", "bells", "ring", "rang"),
    Toy("sled", "sleds", "pull", "pulled"),
    Toy("ukulele", "ukuleles", "strum", "strummed"),
    Toy("toy sword", "toy swords", "swish", "swished"),
    Toy("rattle", "rattles", "shake", "shook"),
    Toy("toy crown", "toy crowns", "wear", "wore"),
    Toy("beanbag", "beanbags", "catch", "caught"),
    Toy("toy tractor", "toy tractors", "steer", "steered"),
)

COLORS = tuple(
    map(
        Word,
        _words("red blue green yellow pink purple orange white brown black gray silver golden"),
    )
)

FIXED_COLORS = (
    Fixed("sky", "skies", "blue", "above the trees"),
    Fixed("leaf", "leaves", "green", "on a bush"),
    Fixed("rose", "roses", "red", "by the gate"),
    Fixed("cloud", "clouds", "white", "over the hill"),
    Fixed("snowman", "snowmen", "white", "in the yard"),
    Fixed("fire truck", "fire trucks", "red", "on the street"),
    Fixed("sunflower", "sunflowers", "yellow", "by the wall"),
    Fixed("brick", "bricks", "red", "in the path"),
    Fixed("tree trunk", "tree trunks", "brown", "beside the road"),
    Fixed("daffodil", "daffodils", "yellow", "in a pot"),
    Fixed("school bus", "school buses", "yellow", "at the corner"),
    Fixed("flamingo", "flamingos", "pink", "in the water"),
    Fixed("violet", "violets", "purple", "in the shade"),
    Fixed("puddle", "puddles", "gray", "by the road"),
    Fixed("fire", "fires", "orange", "in the camp"),
    Fixed("swamp toad", "swamp toads", "green", "on a log"),
    Fixed("chimney", "chimneys", "black", "on a roof"),
    Fixed("clover patch", "clover patches", "green", "in the field"),
)

INDOOR_SPOTS = tuple(
    map(
        Word,
        (
            "under the bed",
            "behind the couch",
            "in the closet",
            "under the table",
            "in a box",
            "behind the door",
            "on the shelf",
            "in the toy chest",
            "under a pillow",
            "behind the curtain",
            "in the laundry basket",
            "under the rug",
            "in the bathtub",
            "beside the lamp",
            "in a drawer",
            "under the stairs",
            "on top of the cupboard",
            "in the attic",
            "behind the clock",
            "in the pantry",
            "under the blue blanket",
            "inside a boot",
            "between two books",
            "in the sink",
            "next to the piano",
            "in the cellar",
        ),
    )
)

OUTDOOR_SPOTS = tuple(
    map(
        Word,
        (
            "under a bush",
            "behind a tree",
            "in the tall grass",
            "under the bench",
            "behind a rock",
            "in the sandbox",
            "by the fence",
            "in a pile of leaves",
            "up in a tree",
            "under the slide",
            "behind the shed",
            "in the mud",
            "next to the well",
            "inside a hollow log",
            "in the flower bed",
            "under a cart",
            "beside the pond",
            "on the old wall",
            "in the ditch",
            "between two bushes",
            "at the bottom of the hill",
            "under the bridge",
            "behind the gate",
            "in a wheelbarrow",
        ),
    )
)

PLACES = (
    Place("the park", "in the park", "a tall slide", "ride the swings"),
    Place("the beach", "at the beach", "big waves", "build a sandcastle"),
    Place("the zoo", "at the zoo", "a striped tiger", "watch the monkeys"),
    Place("the farm", "on the farm", "a red barn", "feed the hens"),
    Place("the forest", "in the forest", "tall trees", "pick up pine cones"),
    Place("the garden", "in the garden", "pretty flowers", "water the plants"),
    Place("the lake", "at the lake", "a little boat", "skip stones"),
    Place("the store", "in the store", "long shelves", "push the cart"),
    Place("the library", "in the library", "many books", "read a story"),
    Place("the playground", "at the playground", "a round sandbox", "climb the ladder"),
    Place("the market", "at the market", "a row of stalls", "smell the bread"),
    Place("the river", "by the river", "a stone bridge", "catch tadpoles"),
    Place("the museum", "in the museum", "old bones", "look at the dinosaurs"),
    Place("the hill", "on the hill", "a lonely tree", "roll down the grass"),
    Place("the pool", "at the pool", "clear water", "splash about"),
    Place("the circus", "at the circus", "a striped tent", "laugh at the clowns"),
    Place("the train station", "at the train station", "a long track", "wave at the trains"),
    Place("the orchard", "in the orchard", "ladders and baskets", "gather fruit"),
    Place("the bakery", "in the bakery", "warm ovens", "choose a bun"),
    Place("the fair", "at the fair", "a big wheel", "ride the merry-go-round"),
    Place("the castle", "at the castle", "a high tower", "play knights"),
    Place("the harbor", "in the harbor", "tall ships", "count the boats"),
    Place("the airport", "at the airport", "silver planes", "watch the takeoffs"),
    Place("the aquarium", "at the aquarium", "bright fish", "touch a starfish"),
    Place("the meadow", "in the meadow", "wild daisies", "chase butterflies"),
    Place("the windmill", "at the windmill", "turning sails", "listen to the wind"),
    Place("the lighthouse", "at the lighthouse", "a bright lamp", "climb the round stairs"),
    Place("the skating rink", "at the skating rink", "smooth ice", "skate in circles"),
)

NUMBERS = tuple(
    Number(word, value)
    for value, word in enumerate(
        _words(
            "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty"
        ),
        start=1,
    )
)

_WEEK = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
DAYS = tuple(Day(day, _WEEK[(i + 1) % 7]) for i, day in enumerate(_WEEK))

OPPOSITES = tuple(
    Opposites(*pair.split("/"))
    for pair in _words(
        "big/small up/down hot/cold happy/sad day/night fast/slow in/out open/shut wet/dry "
        "loud/quiet hard/soft long/short full/empty old/new near/far light/dark high/low "
        "clean/dirty good/bad early/late push/pull left/right yes/no black/white front/back "
        "strong/weak thick/thin brave/scared rough/smooth awake/asleep sweet/bitter safe/risky "
        "deep/shallow wide/narrow first/last start/finish over/under always/never give/take "
        "laugh/cry lost/found rich/poor more/less win/lose"
    )
)

SKILLS = tuple(
    map(
        Word,
        (
            "ride a bike",
            "swim",
            "tie a bow",
            "whistle",
            "skate",
            "climb a rope",
            "jump rope",
            "read",
            "do a handstand",
            "juggle",
            "hop backward",
            "play the drum",
            "bake a pie",
            "sing a high note",
            "tell the time",
            "row a boat",
            "catch a ball",
            "write a name",
            "float on the water",
            "do a cartwheel",
            "fold a crane",
            "say the alphabet",
        ),
    )
)

JOBS = (
    Job("baker", "bakers", "bakes bread", "in a bakery", "an oven"),
    Job("farmer", "farmers", "grows food", "on a farm", "a tractor"),
    Job("doctor", "doctors", "helps sick people", "in a hospital", "a stethoscope"),
    Job("teacher", "teachers", "teaches children", "in a school", "a piece of chalk"),
    Job("firefighter", "firefighters", "puts out fires", "at a fire station", "a hose"),
    Job("painter", "painters", "paints pictures", "in a studio", "a brush"),
    Job("cook", "cooks", "makes meals", "in a kitchen", "a pot"),
    Job("pilot", "pilots", "flies planes", "at an airport", "a map"),
    Job("sailor", "sailors", "sails ships", "on the sea", "a rope"),
    Job("gardener", "gardeners", "plants flowers", "in a garden", "a spade"),
    Job("barber", "barbers", "cuts hair", "in a barber shop", "a comb"),
    Job("tailor", "tailors", "sews clothes", "in a workshop", "a needle"),
    Job("mail carrier", "mail carriers", "brings letters", "at a post office", "a bag"),
    Job("carpenter", "carpenters", "builds chairs", "in a wood shop", "a saw"),
    Job("vet", "vets", "helps sick animals", "in a clinic", "a bandage"),
    Job("singer", "singers", "sings songs", "on a stage", "a microphone"),
    Job("fisherman", "fishermen", "catches fish", "on a boat", "a net"),
    Job("librarian", "librarians", "lends books", "in a library", "a stamp"),
    Job("clown", "clowns", "makes people laugh", "in a circus", "a red nose"),
    Job("miner", "miners", "digs for coal", "in a mine", "a pickaxe"),
    Job("plumber", "plumbers", "fixes pipes", "in many houses", "a wrench"),
    Job("astronaut", "astronauts", "flies to the moon", "in space", "a helmet"),
)

TOOLS = (
    Tool("spoon", "spoons", "eat soup"),
    Tool("broom", "brooms", "sweep the floor"),
    Tool("key", "keys", "open the door"),
    Tool("towel", "towels", "dry wet hands"),
    Tool("umbrella", "umbrellas", "stay dry in the rain"),
    Tool("pencil", "pencils", "write a letter"),
    Tool("brush", "brushes", "paint a picture"),
    Tool("hammer", "hammers", "hit a nail"),
    Tool("lamp", "lamps", "light a dark room"),
    Tool("ladder", "ladders", "reach high things"),
    Tool("bucket", "buckets", "carry water"),
    Tool("shovel", "shovels", "dig a hole"),
    Tool("needle", "needles", "sew a button"),
    Tool("clock", "clocks", "tell the time"),
    Tool("basket", "baskets", "gather eggs"),
    Tool("rope", "ropes", "tie a knot"),
    Tool("comb", "combs", "untangle hair"),
    Tool("kettle", "kettles", "boil water"),
    Tool("rake", "rakes", "gather leaves"),
    Tool("saw", "saws", "cut wood"),
    Tool("map", "maps", "find the way"),
    Tool("eraser", "erasers", "rub out a mistake"),
    Tool("fan", "fans", "cool down"),
    Tool("oven", "ovens", "bake a cake"),
)

TREATS = tuple(
    Noun(*pair.split("/"))
    for pair in (
        "cookie/cookies",
        "cupcake/cupcakes",
        "muffin/muffins",
        "pancake/pancakes",
        "candy/candies",
        "bun/buns",
        "sandwich/sandwiches",
        "lollipop/lollipops",
        "waffle/waffles",
        "cracker/crackers",
        "donut/donuts",
        "brownie/brownies",
        "pretzel/pretzels",
        "ice pop/ice pops",
    )
)

COUNTED = tuple(
    Noun(*pair.split("/"))
    for pair in (
        "shell/shells",
        "stone/stones",
        "leaf/leaves",
        "flower/flowers",
        "button/buttons",
        "egg/eggs",
        "acorn/acorns",
        "sticker/stickers",
        "crayon/crayons",
        "block/blocks",
        "coin/coins",
        "feather/feathers",
        "bead/beads",
        "pine cone/pine cones",
        "stamp/stamps",
        "star/stars",
        "card/cards",
        "bottle cap/bottle caps",
        "ribbon/ribbons",
        "pebble/pebbles",
    )
)

WEATHERS = (
    Weather("sunny", "the sun was shining", "a hat"),
    Weather("rainy", "the rain was falling", "a raincoat"),
    Weather("windy", "the wind was blowing", "a warm jacket"),
    Weather("snowy", "the snow was falling", "mittens"),
    Weather("cloudy", "the clouds hid the sun", "a sweater"),
    Weather("foggy", "the fog was thick", "a bright vest"),
    Weather("hot", "the air was very warm", "sandals"),
    Weather("cold", "there was ice on the ground", "a scarf"),
    Weather("stormy", "the thunder was rumbling", "rubber boots"),
)

FEELINGS = (
    Feeling(
        "happy",
        "smiled",
        (
            "everyone was playing together",
            "the sun came out again",
            "{he} got a hug",
            "{his} friends came to visit",
            "it was {his} birthday",
            "{his} picture was on the wall",
            "supper was {his} favorite",
            "the swing was free",
        ),
    ),
    Feeling(
        "sad",
        "cried",
        (
            "{his} ice cream fell on the ground",
            "{his} best friend moved away",
            "nobody came to play",
            "{his} balloon popped",
            "the goldfish was ill",
            "{his} drawing got torn",
            "the trip was called off",
            "it was time to say goodbye",
        ),
    ),
    Feeling(
        "angry",
        "stomped {his} foot",
        (
            "someone broke {his} tower",
            "a boy pushed in line",
            "{his} brother took the last bun",
            "somebody scribbled in {his} book",
            "the big kids would not share",
            "someone called {him} a silly name",
        ),
    ),
    Feeling(
        "scared",
        "hid under the blanket",
        (
            "there was a loud bang",
            "the lights went out",
            "a big dog barked at {him}",
            "there was a shadow on the wall",
            "the thunder boomed",
            "{he} had a bad dream",
            "{he} could not see {his} mom",
        ),
    ),
    Feeling(
        "tired",
        "yawned",
        (
            "{he} had run all day",
            "it was past bedtime",
            "the walk was so long",
            "{he} had woken up too early",
            "{he} had carried heavy bags",
            "{he} did not sleep well",
        ),
    ),
    Feeling(
        "proud",
        "stood up tall",
        (
            "{he} tied {his} own shoes",
            "{he} won the race",
            "{he} learned to swim",
            "{he} read a whole page alone",
            "{he} rode without training wheels",
            "{he} helped a smaller child",
        ),
    ),
    Feeling(
        "hungry",
        "rubbed {his} tummy",
        (
            "{he} had missed lunch",
            "there was no breakfast",
            "the soup smelled so good",
            "dinner was still far away",
            "{he} had forgotten {his} snack",
        ),
    ),
    Feeling(
        "shy",
        "looked at {his} shoes",
        (
            "there were so many new faces",
            "it was the first day of school",
            "everybody stared at {him}",
            "{he} had to sing alone",
            "a stranger asked for {his} name",
        ),
    ),
    Feeling(
        "bored",
        "sighed",
        (
            "there was nothing to do",
            "the grown-ups talked and talked",
            "the line was so slow",
            "it rained all morning",
            "the show had no jokes",
        ),
    ),
    Feeling(
        "sorry",
        "hung {his} head",
        (
            "{he} had told a lie",
            "{he} had broken a vase",
            "{he} had been rude",
            "{he} had spilled the milk",
            "{he} had stepped on a flower",
        ),
    ),
    Feeling(
        "surprised",
        "gasped",
        (
            "a clown jumped out of a box",
            "the parcel was for {him}",
            "the cat sneezed",
            "there was a rabbit in the hat",
            "it snowed in spring",
        ),
    ),
    Feeling(
        "thirsty",
        "drank some water",
        (
            "the day was so hot",
            "{he} had eaten salty nuts",
            "{his} bottle was empty",
            "{he} had played in the sun for hours",
        ),
    ),
    Feeling(
        "jealous",
        "turned away",
        (
            "the baby got all the kisses",
            "{his} cousin had a new bike",
            "someone else was picked first",
            "the other team got medals",
        ),
    ),
    Feeling(
        "lonely",
        "hugged a pillow",
        (
            "all the others had gone home",
            "the house was empty",
            "{he} sat alone at lunch",
            "no one answered the phone",
        ),
    ),
    Feeling(
        "excited",
        "jumped up and down",
        (
            "the circus was in town",
            "tomorrow was the big trip",
            "a puppy was coming home",
            "the show was about to start",
            "{he} could not wait for the party",
        ),
    ),
)
