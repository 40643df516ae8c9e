package nibble.eval.harness.functions;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Guesses a text's language by its script, by letters that only one language has, and by frequent words. The harness
 * asks the library langdetect, which draws at random; both agree on sentences, and may differ on a few words.
 */
final class LanguageGuess {
    /** Frequent words of languages in Latin letters, most of them in no other of these. */
    private static final Map<String, List<String>> WORDS = Map.ofEntries(
            words(
                    "en",
                    "the of and to in is that it for was with as his on be at by this had not are but from or have an"
                            + " they which one you were all her she there would their we him been has when who will no"
                            + " more if out so what up said about into than them can only your my i do a"),
            words(
                    "es",
                    "el la de que y en los se del las por un con una su para es al lo como más o pero sus le ya este"
                            + " sí porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo"
                            + " nos"),
            words(
                    "pt",
                    "o a de que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à seu"
                            + " sua ou quando muito nos já eu também só pelo pela até isso ela entre são você"),
            words(
                    "fr",
                    "le la les de des et à un une en du dans que qui est pour pas sur au plus par je avec tout faire"
                            + " son mais nous comme ou si leur y il elle ce cette vous sont être ne se"),
            words(
                    "de",
                    "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden"
                            + " aus er hat dass sie nach wird bei einer um am sind noch wie einem über ich wir"),
            words(
                    "it",
                    "il di che e la in a per un è non una sono con si da come dei le lo nel alla più del della gli ma"
                            + " anche i questo ha delle al suo o se ci quando molto essere"),
            words(
                    "vi",
                    "và của là có cho được trong một không với các người những để này khi đã từ như đến tôi bạn về"),
            words(
                    "fi",
                    "ja on ei se että oli hän en mutta ovat joka kun niin myös tai kuin sen mitä ole olla minä sinä"
                            + " hänen tämä ne jos vain nyt"),
            words(
                    "sw",
                    "na ya wa kwa ni katika za la cha kuwa kama hii yake watu au hiyo pia sana lakini wao mimi wewe"),
            words("pl", "i w z na do nie się że to jest o jak po co ale za od tak przez dla są być może oraz ich jego"),
            words("nl", "de het een van en in is dat op te zijn met voor niet aan er om ook als dan maar bij"),
            words("tr", "ve bir bu da de için ile çok ne daha gibi olarak kadar var sonra ben sen"),
            words("id", "yang dan di dari untuk dengan ini itu adalah tidak pada dalam akan saya anda"),
            words("sv", "och att det som en på är av för med till den har inte om ett"),
            words("ro", "și de la în a pe cu că nu este din pentru o un mai sunt"));

    private LanguageGuess() {}

    private static Map.Entry<String, List<String>> words(String language, String words) {
        return Map.entry(language, List.of(words.split(" ")));
    }

    /** Whether a text is in a language; true also where the text has no letters, as in the harness. */
    static boolean is(String text, String language) {
        String found = of(text);
        return found.isEmpty() || found.equals(language) || found.equals("zh-cn") && language.equals("zh");
    }

    /** ISO 639-1 code, as langdetect has it; empty where there are no letters. */
    static String of(String text) {
        Map<Character.UnicodeScript, Integer> scripts = new HashMap<>();
        text.codePoints()
                .filter(Character::isLetter)
                .forEach(point -> scripts.merge(Character.UnicodeScript.of(point), 1, Integer::sum));
        boolean kana = scripts.containsKey(Character.UnicodeScript.HIRAGANA);
        return scripts.entrySet().stream()
                .max(Map.Entry.comparingByValue())
                .map(entry -> switch (entry.getKey()) {
                    case HAN -> kana ? "ja" : "zh-cn";
                    case HIRAGANA, KATAKANA -> "ja";
                    case HANGUL -> "ko";
                    case THAI -> "th";
                    case BENGALI -> "bn";
                    case TAMIL -> "ta";
                    case TELUGU -> "te";
                    case KANNADA -> "kn";
                    case GUJARATI -> "gu";
                    case GURMUKHI -> "pa";
                    case MALAYALAM -> "ml";
                    case HEBREW -> "he";
                    case GREEK -> "el";
                    case ARABIC -> arabic(text);
                    case DEVANAGARI -> devanagari(text);
                    case CYRILLIC -> cyrillic(text);
                    default -> latin(text);
                })
                .orElse("");
    }

    private static boolean has(String text, String letters) {
        return text.codePoints().anyMatch(point -> letters.indexOf(point) >= 0);
    }

    private static String arabic(String text) {
        return has(text, "ٹڈڑںےہھ") ? "ur" : has(text, "پچژگکی") ? "fa" : "ar";
    }

    /** By the verbs that most sentences end with. */
    private static String devanagari(String text) {
        Map<String, List<String>> frequent = Map.of(
                "hi", List.of("है", "हैं", "के", "में", "की", "का", "और", "से", "को", "नहीं"),
                "mr", List.of("आहे", "आहेत", "आणि", "च्या", "मध्ये", "हे", "या", "ते", "नाही", "होते"),
                "ne", List.of("छ", "छन्", "हो", "को", "मा", "र", "लाई", "छैन", "भएको", "गर्न"));
        return best(text, frequent, "hi");
    }

    private static String cyrillic(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        if (has(lower, "іїєґ")) {
            return "uk";
        }
        Map<String, List<String>> frequent = Map.of(
                "ru", List.of("и", "в", "не", "на", "что", "как", "это", "но", "из", "он", "она", "мы", "чтобы", "для"),
                "bg",
                        List.of(
                                "и", "на", "е", "да", "се", "за", "от", "това", "са", "ще", "които", "много", "си",
                                "като"));
        return has(lower, "ыэё") ? "ru" : best(lower, frequent, "ru");
    }

    private static String latin(String text) {
        return best(text.toLowerCase(Locale.ROOT), WORDS, "en");
    }

    private static String best(String text, Map<String, List<String>> frequent, String otherwise) {
        List<String> words = AnswerWords.split(text.replaceAll("[^\\p{L}\\p{M}]+", " "));
        String best = otherwise;
        long most = words.stream()
                .filter(frequent.getOrDefault(otherwise, List.of())::contains)
                .count();
        for (Map.Entry<String, List<String>> one : frequent.entrySet()) {
            long count = words.stream().filter(one.getValue()::contains).count();
            if (count > most) {
                most = count;
                best = one.getKey();
            }
        }
        return best;
    }
}
