/**
 * Whether a password (in lower case) is among the most common ones, or one of them with a few digits or signs around it,
 * or a run such as `12345678`, `aaaaaaaa`, `abababab` or `qwertyuiop`.
 *
 * Source: put together for this project from what the yearly published lists of leaked passwords have in common; the words
 * stand for all their variants with digits, signs and the usual letter substitutions, which a plain list would spell out.
 */
export function isCommonPassword(lower: string): boolean {
  if (isRun(lower) || isRepeated(lower)) return true;
  return [lower, unleet(lower)].some((form) => COMMON.has(form) || COMMON.has(stripDecoration(form)));
}

const LEET: Record<string, string> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
};

function unleet(text: string): string {
  return text.replace(/[013457@$]/g, (character) => LEET[character] ?? character);
}

/** Without up to four digits or signs before and six after: `Password2024!` is `password`. */
function stripDecoration(text: string): string {
  return text.replace(/^[^\p{L}]{0,4}/u, '').replace(/[^\p{L}]{0,6}$/u, '');
}

const ROWS = [
  '01234567890123456789',
  '09876543210987654321',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiopasdfghjklzxcvbnm',
  'poiuytrewqlkjhgfdsamnbvcxz',
  'qwertzuiopasdfghjklyxcvbnm',
  'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik',
  '1q2w3e4r5t6y7u8i9o0p',
  'q1w2e3r4t5y6u7i8o9p0',
  'qazwsxedcrfvtgbyhnujm',
  'zaq1xsw2cde3vfr4bgt5',
  'asdfghjkl',
  'zxcvbnm',
];

/** Whether it consists of one to three pieces of a keyboard row, of the alphabet or of the digits. */
function isRun(text: string): boolean {
  let rest = text;
  for (let pieces = 0; pieces < 3 && rest.length > 0; pieces += 1) {
    const piece = longestRunAt(rest);
    if (piece < 3) return false;
    rest = rest.slice(piece);
  }
  return rest.length === 0;
}

function longestRunAt(text: string): number {
  for (let length = Math.min(text.length, 40); length >= 3; length -= 1) {
    const head = text.slice(0, length);
    if (ROWS.some((row) => row.includes(head))) return length;
  }
  return 0;
}

/** One short piece over and over: `aaaaaaaa`, `12121212`, `asdasdasd`. */
function isRepeated(text: string): boolean {
  return [1, 2, 3, 4].some((length) => {
    const piece = text.slice(0, length);
    return text === piece.repeat(Math.ceil(text.length / length)).slice(0, text.length);
  });
}

const COMMON = new Set(
  `password passwort passw0rd passwd motdepasse contrasena contraseña senha parola fjalekalimi fjalëkalimi lozinka haslo hasło
   wachtwoord salasana losenord lösenord heslo jelszo parool sifre şifre pass pass1234 passpass mypassword thepassword newpassword
   oldpassword password1 password12 password123 adminpassword userpassword secretpassword nopassword
   admin administrator adminadmin root rootroot toor user useruser guest guestguest test testtest testing tester testuser demo
   demodemo default defaultpassword changeme changethis changeit letmein letmeinnow welcome welcomehome login loginlogin access
   accessdenied master mastermaster superuser superman supervisor system sysadmin security secure secret topsecret private public
   temp temporary temppass example sample dummy qwerty qwertyqwerty qwerty123 qwertyui qwertyuiop asdfghjk azertyui
   iloveyou iloveyou1 iloveyou2 iloveme ilovegod iloveu loveyou lovelove lovely loveme lover lovers mylove truelove
   sunshine princess princesa football football1 baseball basketball volleyball softball hockey soccer futbol liverpool chelsea
   arsenal barcelona realmadrid juventus manchester mancity manunited everton celtic rangers dortmund bayern fcbarcelona
   trustno1 trustnoone monkey dragon shadow michael jennifer jordan jordan23 hunter hunter2 harley ranger buster thomas tigger
   robert batman spiderman superstar starwars pokemon pikachu minecraft naruto goku matrix mustang corvette ferrari mercedes
   porsche yamaha suzuki kawasaki chevrolet toyota samsung samsung1 nokia motorola iphone android computer internet
   facebook google youtube twitter linkedin instagram whatsapp windows microsoft apple linux ubuntu oracle cisco
   whatever whatever1 freedom freedom1 forever forever1 together happiness friends friendship family familia mother father
   daughter brother sister grandma babygirl babyboy baby angel angels angelica angelina jesus jesuschrist jesus123 christ
   christian christina heaven blessed blessing faith destiny maverick phoenix diamond crystal butterfly rainbow flower flowers
   sunflower chocolate cookie cookies cheese banana orange strawberry blueberry pumpkin pepper ginger cinnamon coffee
   summer winter spring autumn january february march april june july august september october november december monday tuesday
   wednesday thursday friday saturday sunday
   charlie charlie1 jessica ashley nicole daniel daniela andrew joshua matthew anthony william alexander alexandra alexandre
   elizabeth katherine victoria veronica caroline danielle stephanie samantha amanda melissa michelle michelle1 patricia rebecca
   gabriel gabriela isabella jonathan nicholas benjamin christopher sebastian francisco fernando alejandro alejandra roberto
   ricardo eduardo leonardo valentina carolina cristina catarina mariana marianna barbara natalie nathalie brandon brittany
   courtney heather kimberly lauren madison morgan taylor vanessa andrea antonio carlos giuseppe giovanni francesca francesco
   computer1 starcraft warcraft counterstrike playstation nintendo gamer gameover killer killer1 hacker hacked cracker anarchy
   asshole bitch bullshit fuckyou fuckyou1 fuckyou2 fuckoff motherfucker pussy sexy sexygirl sexyboy sexsex
   snoopy scooby scoobydoo garfield mickey mickeymouse donald donaldduck tweety winnie simpsons southpark startrek lordoftherings
   gandalf merlin wizard excalibur vampire zombie monster demon lucifer satan metallica nirvana slipknot eminem rockstar
   guitar music musica hiphop dancer dancing purple yellow silver golden blackie snowball snowman midnight
   midnight1 morning sparky rocky lucky lucky7 bailey buddy maggie molly sophie ginger1 cowboys yankees redsox lakers steelers
   eagles packers raiders patriots dolphins dolphin panther tiger elephant kitten kittycat doggie puppy turtle penguin
   australia england america american scotland ireland germany deutschland france italia brasil argentina colombia mexico
   espana albania shqiperia tirana kosova london paris berlin newyork california florida texas chicago
   company office business manager service support helpdesk account accounts finance database server network router
   wireless firewall backup monitor printer scanner terminal gateway sluice sluiceadmin kendrix keeptrack
   zxcvbnm zxcvbnm1 zaqwsx qazwsx qazxsw abcabc abcd abcdef abcdefg abcdefgh abc123 abcd1234 abc12345 a1b2c3d4 aa123456 a123456789
   123qwe 123qweasd 1q2w3e4r qwe123 qweqwe qweasd qweasdzxc asd123 asdasd asdf asdfasdf asdfjkl asdfgh zxczxc q1w2e3r4 1234qwer
   11223344 12344321 12341234 123454321 123321 147258369 159357 159753 741852963 789456123 987654321 10203040 19871987 20002000
   31415926 88888888 99999999 66666666 77777777 55555555 696969 69696969 112233 121212 131313 00000000 01010101 p@ssw0rd p@ssword
   blink182 nothing nothing1 something anything everything unknown nobody noname forgotten forget remember incorrect
   correcthorsebatterystaple letmein1 openup opensesame sesame abracadabra hocuspocus bonjour helloworld hello hellohello
   hello123 goodbye goodluck godbless godisgood thankyou`
    .split(/\s+/)
    .filter((word) => word.length > 0),
);
