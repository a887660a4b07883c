"""Word lists that the generated pretraining tasks draw their values from. Data only."""

from typing import Final


def words(text: str) -> list[str]:
    """The words of a text; lists of a hundred words stay readable this way."""
    return text.split()


FIRST_NAMES: Final = words(
    """
    Ada Alan Amara Anders Anika Anton Aria Asha Ben Bianca Boris Bruno Carla Carlos Cedric Chen Clara Dana
    Daniel Daria David Delia Diego Dora Edith Eli Elena Emil Emma Enzo Erik Esther Fatima Felix Fiona Frank
    Freya Gabriel George Gita Grace Greta Hana Hannah Harold Hassan Helen Henrik Hugo Ida Igor Ines Ingrid Irene
    Isaac Ivan Jack James Jana Jasper Jin Joan Jonas Jorge Josef Julia June Kai Karen Karim Kate Keiko Kevin
    Kira Laila Lars Laura Leo Lena Liam Lin Lisa Lucas Lucy Luis Maja Malik Marco Maria Martin Mateo Maya Mei
    Mia Milan Mina Mohamed Mona Nadia Naomi Nash Nico Nina Noah Nora Olaf Olga Oliver Omar Oscar Paula Paulo
    Pedro Peter Petra Priya Quinn Rachel Rafael Raj Rana Rita Robert Rosa Ruth Sam Sana Sara Sasha Sean Simon
    Sofia Stefan Sven Tanya Tara Theo Thomas Tim Tina Tom Uma Ursula Vera Victor Viktor Wendy Will Xavier Yara
    Yuki Yusuf Zara Zoe
    """
)

LAST_NAMES: Final = words(
    """
    Abbott Adler Ahmed Allen Almeida Andersen Baker Bauer Becker Bell Berg Bishop Blanc Boyd Brandt Brown Burke
    Campbell Carter Castro Chen Clark Cohen Costa Cruz Dahl Davis Diaz Dubois Duran Evans Fischer Fox Franco
    Garcia Ghosh Gomez Grant Green Gupta Haas Hall Hansen Hart Hill Hoffman Holm Hughes Ito Ivanov Jacobs Jensen
    Jones Kaplan Kaur Kelly Khan Kim Klein Koch Kovacs Kumar Lang Larsen Lee Lewis Lim Lopez Lund Marino Martin
    Meyer Miller Moreau Mori Murphy Nakamura Nguyen Novak Olsen Ortiz Owens Park Patel Perez Petrov Price Quist
    Ramos Reed Reyes Rossi Roy Russo Sato Schmidt Shah Silva Singh Smith Stein Stone Suzuki Tan Taylor Torres
    Turner Vargas Vogel Wagner Walker Wang Weber White Wong Young Zhang
    """
)

CITIES: Final = words(
    """
    Accra Ankara Athens Austin Baku Bangkok Barcelona Bergen Berlin Bern Bogota Boston Bremen Brisbane Bristol
    Brussels Bucharest Budapest Cairo Calgary Cardiff Chicago Cologne Copenhagen Cork Dakar Dallas Delhi Denver
    Doha Dresden Dublin Durban Essen Florence Geneva Ghent Glasgow Graz Hamburg Hanoi Havana Helsinki Istanbul
    Jakarta Kampala Karachi Kyiv Kyoto Lagos Leeds Leipzig Lima Lisbon London Lusaka Lyon Madrid Malmo Manila
    Melbourne Mexico_City Miami Milan Montreal Mumbai Munich Nairobi Naples New_York Nice Odessa Osaka Oslo
    Ottawa Paris Perth Porto Prague Quito Riga Rome Rotterdam San_Diego Santiago Seattle Seoul Seville Sofia
    Split Stockholm Sydney Tallinn Tampere Tokyo Toronto Tunis Turin Utrecht Vancouver Vienna Vilnius Warsaw
    York Zagreb Zurich
    """
)

COUNTRIES: Final = words(
    """
    Argentina Australia Austria Belgium Brazil Canada Chile China Colombia Croatia Denmark Egypt Estonia Finland
    France Germany Ghana Greece Hungary Iceland India Ireland Israel Italy Japan Kenya Latvia Mexico Morocco
    Nepal Norway Peru Poland Portugal Romania Serbia Singapore Spain Sweden Switzerland Thailand Turkey Ukraine
    Vietnam
    """
)

NOUNS: Final = words(
    """
    account actor alarm album anchor angle apple arrow atlas bag balcony ball bank barrel basket battery beam
    bed bell belt bench bicycle bird blanket board boat book border bottle bowl box branch brick bridge brush
    bucket building button cabinet cable cake camera candle canvas card carpet castle chain chair channel cheese
    circle clock cloud coat coin collar comb cord corner cotton counter cover crane crown cup curtain cushion
    desk dial dish door drawer dress drum engine envelope factory fan farm feather fence field film filter flag
    flame floor flower folder forest fork frame garden gate glass glove gold grain guitar hammer handle harbor
    hat helmet hinge honey hook horn house island jacket jar jewel kettle key kitchen knife ladder lake lamp
    leaf lens letter library lid light lock machine magnet map market mask meadow metal mirror mountain museum
    nail napkin necklace needle nest net notebook ocean office oven paint panel paper parcel path pen pencil
    pepper piano picture pillow pin pipe plane plant plate pocket pond pool powder printer prism pump purse
    queen quilt radio rail ramp ribbon rice ring river road robe rocket roof room root rope rug ruler sail salt
    sand scarf scissors screen screw seed shadow sheet shelf shell ship shirt shoe signal silk silver sink skirt
    soap sofa spade spoon spring stage stairs stamp station steam stick stone storm stove straw street string
    sugar suit summit sword table tail tape teapot temple tent thread ticket tile timber tin tool torch towel
    tower toy track train tray tree trunk tube tunnel umbrella valley valve vase vessel village violin wagon
    wall watch water wave wheel whistle window wing wire wood wool yard zipper
    """
)

ADJECTIVES: Final = words(
    """
    able active ancient angry basic big black blue bold brave brief bright broad brown busy calm cheap clean
    clear clever cold common cool crisp curious daily damp dark deep dense dry dull early easy empty equal exact
    faint fair famous fast final fine firm flat fresh full gentle giant glad golden grand gray great green happy
    hard heavy hidden hollow honest huge idle inner keen kind large late lazy light little local lonely long
    loose loud lucky main mild modern narrow neat new nice noisy odd old open orange outer pale plain polite
    poor proud public pure quick quiet rapid rare raw ready red rich rough round royal sad safe sharp short shy
    silent silver simple slow small smart smooth soft solid sour square steady steep still strange strict strong
    sudden sweet swift tall tame thick thin tidy tight tiny tired tough true twin upper urban vast violet warm
    weak wet white whole wide wild wise wooden yellow young
    """
)

VERBS: Final = words(
    """
    accept add allow apply arrange ask attach bake begin bend block borrow break bring build buy call carry
    catch change check choose clean climb close collect copy count cover cross cut deliver design dig divide
    draw drive drop eat enter fetch fill find finish fix fold follow gather give grow guard guide hang help hide
    hold hunt inspect join jump keep knock launch lead learn leave lend lift list load lock look lose make mark
    match measure melt mix move name notice offer open order pack paint park pass pay pick place plan plant play
    point pour press print promise pull push put raise reach read record remove repair repeat reply rest return
    ride ring roll row run save seal search sell send serve set shake share shift show shut sign sing sit sketch
    sleep slide sort speak spend spin split stand start stay steal steer stop store study sweep swim take talk
    teach tell test throw tie touch trace trade train travel turn use visit wait walk wash watch wear weigh win
    wipe work wrap write
    """
)

STATUSES: Final = words(
    """
    active inactive pending open closed paid unpaid failed ok done new draft shipped delayed ready blocked
    approved rejected queued running paused cancelled archived expired online offline enabled disabled verified
    """
)

DEPARTMENTS: Final = words(
    """
    sales marketing finance legal support engineering design research logistics operations security purchasing
    training quality planning payroll facilities editorial
    """
)

PRODUCTS: Final = words(
    """
    laptop monitor keyboard mouse headset webcam tablet phone charger router printer scanner projector speaker
    microphone desk lamp chair notebook stapler backpack tripod drone helmet jacket boots tent blender toaster
    kettle mixer heater freezer drill saw sander wrench pliers hose shovel rake bucket trolley paint varnish
    cement insulation curtain mattress pillow guitar violin flute trumpet novel atlas puzzle poster globe
    """
)

COLORS: Final = words(
    "red blue green black white grey yellow purple orange brown pink silver gold teal navy maroon olive"
)

KEYS: Final = words(
    """
    id name title user owner author city country region address street zip phone date time start end due created
    updated status state type kind category label tag group team department role level priority rank score
    rating price cost amount total tax currency quantity qty count size weight height width length color
    material brand model version build branch host ip port path file folder url protocol method code error
    message reason source target origin destination sender receiver customer client vendor supplier product item
    sku order invoice account number ref batch shift room floor table seat gate flight train vehicle driver
    plate distance speed duration temperature pressure voltage channel mode key value unit language format
    course grade project task ticket event venue guest contact note
    """
)

KEY_PARTS: Final = words(
    """
    user item start end max min last first next prev total base main sub raw net gross unit node job run log
    file row col page line order ship bill home work
    """
)

HOST_WORDS: Final = words(
    """
    web db api cache mail proxy node worker edge core auth queue build ci gw lb storage backup mon dns app
    search media batch render
    """
)

SERVICES: Final = words(
    """
    scheduler gateway indexer collector dispatcher replicator watchdog balancer resolver importer exporter
    renderer notifier crawler archiver compactor listener allocator planner syncer uploader broker monitor agent
    sessiond kernel storaged netd mounter linker loader
    """
)

FOLDERS: Final = words(
    """
    var log tmp opt srv etc usr home data lib share cache spool mnt export src build docs assets static images
    reports archive backup config scripts tests public
    """
)

EXTENSIONS: Final = words(
    "txt log csv json xml yaml md py js html css png jpg pdf zip tar gz sql conf ini toml rs go java"
)

MONTHS: Final = words(
    """
    January February March April May June July August September October November December
    """
)

WEEKDAYS: Final = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

CURRENCIES: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}

UNITS: Final = {
    "kg": "kilograms",
    "g": "grams",
    "mg": "milligrams",
    "km": "kilometers",
    "m": "meters",
    "cm": "centimeters",
    "mm": "millimeters",
    "l": "liters",
    "ml": "milliliters",
    "s": "seconds",
    "ms": "milliseconds",
    "h": "hours",
    "min": "minutes",
    "kb": "kilobytes",
    "mb": "megabytes",
    "gb": "gigabytes",
    "w": "watts",
    "kw": "kilowatts",
    "v": "volts",
    "a": "amperes",
    "hz": "hertz",
    "ft": "feet",
    "in": "inches",
    "lb": "pounds",
    "oz": "ounces",
}

SYLLABLES: Final = words(
    """
    ba be bi bo bu da de di do du fa fe fi fo ga ge gi go gu ha he hi ho ja jo ka ke ki ko ku la le li lo lu ma
    me mi mo mu na ne ni no nu pa pe pi po pu qua ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we
    wi ya yo za ze zi zo bra cle dri fro gla kri pla pri sta ste stra tra tre tri tru ber dal fen gor han kel
    lan mar nor per quin ral sel tor ver wick zan ton ley ford
    """
)
