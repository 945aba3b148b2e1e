"""Short, pet and foreign forms of first names, so that Bob may be Robert."""

from __future__ import annotations

# A line or more a name: first the form that all of them stand for. A short form of several names stands with the
# commonest; names of men and women that share one stand together, for sex is compared by itself.
_FORMS = """
abigail abby abbie gail
abraham abe bram
adelaide addie adele
agnes aggie nessie
albert al bert bertie
alexander alexandra alex aleksander aleksandra alexandros alejandro alessandro alessandra alec alick sandy
alexander sasha sascha sandra
alfred alf alfie fred
alison allison ali allie
amanda mandy
andrew andy drew andreas andre andrea andrzej
angela angie angelina
ann anne anna annie nan nancy hannah anya ania annika anita
anthony tony anton antonio antoine toni antoni
arthur art artie
augustus gus august augustine
barbara barb babs barbie
benjamin ben benny benji
bernard bernie bernhard
bradley brad
bridget biddy bridie
calvin cal
cameron cam
caroline carolyn carrie carol caro karoline karolina lina
catherine katherine kathryn katharine katharina cathy kathy kate katie kat kitty cat kay katrina katarina
catherine kathleen katya kasia karen kathrin
cecilia cissy celia
charles charlie charley chuck chas carl karl karel carlos
charlotte lottie lotte charly
christine christina christian chris kristina kristin kristine tina chrissie chrissy christa krystyna
christopher kit topher christoph krzysztof kris christophe
clarence clarrie
claudia claude claudio
clifford cliff
cornelius neil corny
curtis curt kurt
cynthia cindy
daniel dan danny daniela danielle dani
david dave davy davey davide
deborah debra deb debbie
dennis denny denis
dominic dominick dom nick
donald don donny donnie
dorothy dot dottie dolly dora dorothea
douglas doug
edmund eddie ed ned
edward ted teddy edouard eduard eduardo
edwin edwina win
eleanor ellie nell nellie elinor nora elena ellen helen helena lena helene
elizabeth elisabeth liz lizzie lizzy beth betty betsy bess bessie eliza elsie libby lisa lise liza lisbeth
elizabeth elisa ella elspeth elzbieta ela
emily em emma emmy emmeline
ernest ernie ernst
esther essie hester
eugene gene eugen
evelyn eve evie eva
florence flo florrie flossie
frances fran fanny francesca franziska franzi
francis frank frankie francisco frantisek franciszek francesco francois franz pancho paco
frederick freddie freddy friedrich fritz frederic frederik
gabriel gabrielle gabriela gabe gabby gabi
geoffrey geoff jeffrey jeff jeffery
george georgie georg georges jerzy jorge giorgio jurgen georgina georgia
gerald gerry jerry gerard gerhard gerd
gertrude gertie trudy
gilbert gil
giuseppe beppe pino
gregory greg gregor grzegorz
guillermo memo
harold hal harry
harriet hattie
heather hettie
henry hank henri heinrich heinz enrique enrico henryk henrik hal
herbert herb herbie
hubert hugh
isaac ike
isabella isabel isabelle isobel bella izzy belle
jacob jake jakob jacques jakub jaap
jacqueline jackie jacqui
james jim jimmy jamie jem jaime
jane jean jeanne janet janice jeanette jenny jennie joan johanna joanna joanne jo janie
jennifer jen jenn jenna
jessica jess jessie
jesus chucho
john jack johnny jon johnnie johann johannes juan jan hans ivan giovanni ian sean evan jonny joao
jonathan jonathon nathan
joseph joe joey josef jose jozef josephine josie pepe
joshua josh
judith judy judi
julia julie juliet juliana jules julian
kenneth ken kenny
kimberly kim kimberley kimmy
lawrence larry laurence lorenzo laurent lars lorenz laurie
leonard len lenny leo leon leonardo
leslie les lesley
lewis louis lou louie luis ludwig luigi ludovic lucas
lillian lily lil lilian
louise louisa luisa lulu
lucy lucia lucille lucie lucinda
luke lukas lukasz
magdalena magda lena
margaret maggie meg peggy marge margie madge greta daisy rita margarete margarethe margarita margit gretchen
margaret margot marguerite peg gosia malgorzata molly
maria mary marie mariah mia miriam polly mamie maryam moll marion
mark marc marcus markus marco marek marcos
martha marta marty mattie patty
martin marten marcin martina
matthew matt mathew matthias matteo mateusz mathieu matty matias
maximilian max maxwell maxine
melissa mel missy
melanie mellie
michael mike mick mickey mikey mitch michel miguel michal mikhail michele misha michelle shelly
mildred millie milly
mitchell mitchel
mohammed muhammad mohamed mohammad mo mohamad
nathaniel nate nat natan
natalie natasha nataly nati natalia tasha
nicholas nicolas nicky nico nikolaus niklas klaus nicola nicole mikolaj nikolai kolya nikolas niko
norman norm
oliver ollie olivia olly livia
oscar oskar ossie
pamela pam pammy
patricia pat trish tricia pattie patsy
patrick paddy patryk patrice rick
paul paula pavel pablo paolo pauline pawel paulo
penelope penny
peter pete petra pedro pierre pietro piotr petr pieter
philip phillip phil pip philippe felipe filip philipp
priscilla cilla prissy
rachel rach rachael raquel
raymond ray ramon raimund
rebecca becky becca bec rebekah
reginald reg reggie rex
richard dick rich richie ricky ricardo riccardo dickie ryszard
robert bob bobby rob robbie robby bert rupert roberto robin roberta
roderick rod roddy rodney
roger rodge rogelio
roland rolly rollo orlando rolf
ronald ron ronnie ronny
rosemary rose rosie rosa rosalind rosalie roz
russell russ rusty
samuel sam sammy samantha samuele
sarah sara sally sadie sal
sebastian seb bastian basti sebastien
sidney sid sydney syd
simon simeon si szymon simone
sophia sofia sophie zofia sonia sonja sofie
stanley stan stanislaw
stephanie steph stefanie steffi stefania
stephen steven steve stevie stefan stephan esteban stefano etienne istvan szczepan
susan sue susie suzanne susanna suzy susanne zuzana sukie susannah
sylvia silvia sylvie
terence terry terrence terrance teri
theodore theo theodor teodoro fyodor
theresa teresa terri tess tessa tracy terese
thomas tom tommy thom tomas tomasz tommaso
timothy tim timmy timo
tobias toby tobi
ursula ulla uschi
valentina val valentine valentino
valerie valery
veronica ronni veronika vera
victor vic viktor vittorio
victoria vicky vicki tori viktoria vickie
vincent vince vinnie vincenzo vinny vicente vincenz
virginia ginny ginger
walter wally walt wat
wilfred wilf wilfrid
wilhelmina minnie mina wilma
william bill billy will willie liam wilhelm guillaume willy willem wim guglielmo
winifred winnie freda
wolfgang wolf wolfi
yekaterina katia ekaterina
zachary zach zack zac zachariah
"""
# Short forms of a second name that is about as common.
_SECOND = {
    "bert": "robert", "charlie": "charlotte", "chris": "christopher", "connie": "constance", "fred": "frederick",
    "freddie": "alfred", "gus": "gustav", "hal": "henry", "harry": "henry", "jackie": "john", "jan": "janet",
    "jerry": "jeremy", "jo": "joseph", "jon": "jonathan", "lena": "helena", "lou": "louise", "marge": "marjorie",
    "meg": "megan", "mel": "melanie", "mitch": "mitchell", "nate": "nathan", "nick": "nicholas", "pat": "patrick",
    "rick": "richard", "sandy": "sandra", "ted": "theodore", "terry": "theresa", "tina": "martina", "val": "valerie",
}  # fmt: skip
_ROOTS: dict[str, str] = {}
for _line in _FORMS.split("\n"):
    for _form in _line.split():
        _ROOTS.setdefault(_form, _line.split()[0])


def is_known(first: str) -> bool:
    """Whether a folded first name is among those that have forms."""
    return first in _ROOTS


def root(first: str) -> str:
    """The name that a folded first name is a form of; itself where none is known."""
    return _ROOTS.get(first, first)


def second_root(first: str) -> str:
    """Another name that it may be a form of, by that name's root; empty where there is none."""
    return root(_SECOND[first]) if first in _SECOND else ""
