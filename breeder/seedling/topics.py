"""The semantic lexicon: topics, the words that give them away, and intents with their phrasings. Data only."""

from typing import Final


def _words(text: str) -> dict[str, list[str]]:
    rows = (line.split(":", 1) for line in text.strip().splitlines())
    return {name.strip(): [word.strip() for word in words.split(",")] for name, words in rows}


TOPICS: Final = _words("""
sport: football, tennis, goal, referee, championship, coach,marathon,stadium, league, sprint, medal, striker,tournament
weather: rain, snow, forecast, storm, sunny, cloudy, humidity, thunder, wind, frost, drizzle, hail, heatwave
music: melody, concert, guitar, singer, album, orchestra, chorus, drummer, rhythm, lyrics, piano, symphony
food: recipe, dinner, soup, salad, oven, flavour, restaurant, chef, spices, dessert, breakfast, sauce, bread
travel: hotel, passport, luggage, itinerary, tourist, airport, cruise, visa, sightseeing, hostel, boarding, suitcase
health: doctor, fever, vaccine, clinic, symptoms, surgery, pharmacy, headache, nurse, therapy, allergy, prescription
finance: loan, mortgage, dividend, shares, interest, savings, investor, budget, bond, credit, stocks, inflation
technology: software, laptop, processor, smartphone, network, browser, server, chip, algorithm, gadget, firmware, update
education: teacher, exam, homework, university, lecture, classroom, diploma, scholarship, student, syllabus, tutor
politics: election, parliament, minister, senator, campaign, treaty, voters, ballot, policy, coalition, mayor
science: telescope, molecule, experiment, laboratory, physics, hypothesis, genome, particle, chemist, fossil, planet
cars: gearbox, brakes, tyre, sedan, mileage, dashboard, clutch, garage, motorway, exhaust, windscreen, steering
animals: puppy, kitten, zoo, elephant, veterinarian, feathers, herd, dolphin, rabbit, horse, wolves, parrot
gardening: soil, seeds, pruning, lawn, compost, greenhouse, weeds, watering, blossom, shrubs, fertilizer, tulips
movies: cinema, actor, trailer, director, screenplay, thriller, sequel, box office, comedy, premiere, animation
law: judge, lawsuit, attorney, verdict, contract, court, plaintiff, statute, trial, clause, witness
housing: rent, tenant, landlord, apartment, lease, bathroom, renovation, mortgage broker, basement, bedroom, balcony
fashion: dress, jacket, runway, fabric, designer, shoes, jeans, boutique, sleeves, handbag, silk
energy: solar, turbine, electricity, grid, fuel, battery, power plant, voltage, nuclear, petrol, insulation
security: password, firewall, breach, malware, encryption, phishing, burglar, alarm, intruder, hacker, two-factor
delivery: courier, parcel, tracking, shipment, warehouse, doorstep, package, postage, dispatch, delayed parcel
billing: invoice, charged twice, receipt, payment, overcharged, fee, subscription fee, billing address, bank statement
refund: refund, money back, return the item, reimbursement, send it back, repay me, returned goods
login: log in, sign in, locked out, reset my password, username, authentication code, forgot my password
bug: crashes, error message, exception, freezes, stack trace, broken button, does not load, wrong result, blank page
feature: would be great, please add, suggestion, dark mode, wish, it would help, new option, support for
praise: thank you, excellent, love it, wonderful, great job, fantastic, very happy, perfect, impressed
complaint: terrible, disappointed, unacceptable, awful, angry, worst, rude, never again, waste of money
hiring: vacancy, interview, resume, candidate, salary offer, recruiter, job advert, onboarding, applicant
meeting: agenda, schedule a call, calendar, conference room, minutes, reschedule, attend, invite, video call
shopping: discount, basket, checkout, coupon, store, sale, price tag, customer, bargain, size chart
insurance: policyholder, claim, premium, coverage, accident report, deductible, damage, insured, underwriter
banking: transfer, account balance, card declined, withdraw cash, atm, deposit, pin code, exchange rate, overdraft
hardware: hard disk, fan noise, overheating, motherboard, cable, monitor flickers, keyboard keys, power supply
network: wifi, router, latency, packet loss, bandwidth, dns, disconnects, vpn, ping, slow internet, ethernet
documentation: readme, typo, tutorial, docs, docstring, explain, wording, guide, examples, comments
performance: slow query, speed up, cache, memory usage, faster, profiling, optimise, throughput, bottleneck
testing: unit test, coverage, assertion, mock, flaky test, fixture, regression test, test suite
space: rocket, astronaut, orbit, satellite, lunar, spacecraft, comet, galaxy, launch pad, mars
history: empire, medieval, ancient, dynasty, revolution, castle, century, archive, king, pharaoh
""")

SENTIMENT: Final = _words("""
positive: love, excellent, wonderful, happy, great, superb, delightful, perfect, brilliant, enjoyed, pleasant, amazing
negative: hate, awful, terrible, sad, poor, broken, horrible, useless, boring, disappointed, dreadful, annoying
neutral: average, okay, ordinary, standard, usual, acceptable, plain, normal, unremarkable, typical
""")

URGENCY: Final = _words("""
high: immediately, urgent, right now, emergency, as soon as possible, critical, at once, outage
medium: soon, this week, in the next days, before Friday, when you can, tomorrow
low: no hurry, whenever, some day, low priority, not urgent, eventually, nice to have
""")

ACTIONS: Final = _words("""
create: create, make, add, set up, new, build, generate, open a new
delete: delete, remove, erase, drop, get rid of, discard, wipe, clear out
update: update, change, edit, modify, rename, adjust, revise, alter
search: find, search, look for, where is, locate, look up, show me
cancel: cancel, stop, abort, call off, terminate, end my
book: book, reserve, arrange, get me a seat, hold a table
play: play, put on, start the song, listen to, queue up
pay: pay, settle, transfer money, send money, cover the bill
call: call, phone, ring, dial, contact
remind: remind me, do not let me forget, set a reminder, alert me
translate: translate, how do you say, in french, in german, say this in
compare: compare, difference between, which is better, versus
count: how many, count, number of, tally
explain: explain, why does, what does it mean, help me understand, describe
""")

TOPIC_SENTENCES: Final = [
    "I wanted to ask about the {0}.",
    "there is something about {0} here",
    "We talked about {0} and {1} yesterday.",
    "The {0} was mentioned by {name}.",
    "{name} wrote: {0}, then {1}",
    "My question concerns {0}",
    "{0} again, and also {1}",
    "news on {0}: {adj} {noun} in {city}",
    "A report on the {0} from {city}",
    "Can somebody look at {0}?",
    "{0}",
    "The {adj} {noun} has to do with {0} and {1}.",
    "hello, {0} please, {name}",
    "Notes: {noun}, {0}, {noun2}, {1}.",
    "After the {noun} in {city}, {0} came up.",
    "I keep thinking about {0}",
    "Everyone at the {noun} spoke of {0}.",
    "{name} from {city} has a problem with {0}",
    "it is all {0} and {1} these days",
    "Regarding {0}: see the {adj} {noun}.",
]

ACTION_SENTENCES: Final = [
    "{0} the {noun}",
    "please {0} the {adj} {noun}",
    "can you {0} the {noun} for {name}?",
    "I want to {0} a {noun} in {city}",
    "{0} {noun} and {noun2}",
    "hey, {0} the {noun} now",
    "could you {0} my {noun}",
    "{name} needs to {0} the {noun}",
    "I would like you to {0} the {adj} {noun}",
    "we should {0} that {noun} in {city}",
]
