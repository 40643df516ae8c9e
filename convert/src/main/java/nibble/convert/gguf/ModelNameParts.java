package nibble.convert.gguf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.BiPredicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What a model's name tells, as llama.cpp's converter takes names apart: {@code Llama-3.2-1B-Instruct} is the base name
 * {@code Llama-3.2}, the size {@code 1B} and the finetune {@code Instruct}. Without any of size, finetune and version
 * the base name is not told either.
 *
 * @param name behind the organization
 */
record ModelNameParts(
        String name,
        @Nullable String organization,
        @Nullable String basename,
        @Nullable String finetune,
        @Nullable String version,
        @Nullable String sizeLabel) {

    private enum Kind {
        BASENAME,
        SIZE,
        FINETUNE,
        VERSION,
        TYPE
    }

    private static final Pattern VERSION = Pattern.compile("(v|iter)?\\d+([.]\\d+)*", Pattern.CASE_INSENSITIVE);
    private static final Pattern TYPE = Pattern.compile("i?q\\d(_\\w)*|b?fp?(16|32)", Pattern.CASE_INSENSITIVE);
    private static final Pattern SIZE = Pattern.compile(
            "(([A]|\\d+[x])?\\d+([._]\\d+)?[KMBT]\\d?|small|mini|medium|large|x?xl)", Pattern.CASE_INSENSITIVE);
    private static final Pattern FINETUNE = Pattern.compile("chat|instruct|vision|lora", Pattern.CASE_INSENSITIVE);
    private static final Pattern KEPT_WORD = Pattern.compile("v\\d+(?:\\.\\d+)*|\\d.*");

    /**
     * Takes a name apart.
     *
     * @param id with or without an organization and a slash in front
     * @param parameters of the model; a size that is far from it is a context length
     */
    static ModelNameParts of(String id, long parameters) {
        if (id.contains(" ")) {
            return new ModelNameParts(id, null, null, null, null, null);
        }
        int slash = id.indexOf('/');
        String organization = slash < 0 || id.startsWith(".") ? null : id.substring(0, slash);
        String name = id.substring(slash + 1);
        List<String> parts = Arrays.stream(name.split("-"))
                .filter(part -> !part.isEmpty())
                .collect(Collectors.toCollection(ArrayList::new));
        List<Set<Kind>> kinds = new ArrayList<>();
        for (int i = 0; i < parts.size(); i++) {
            kinds.add(EnumSet.noneOf(Kind.class));
            classify(parts, i, kinds.get(i), parameters);
        }
        // Words are sizes only where no number is one.
        if (IntStream.range(0, parts.size())
                .anyMatch(i -> kinds.get(i).contains(Kind.SIZE) && parts.get(i).matches(".*\\d.*"))) {
            for (int i = 0; i < parts.size(); i++) {
                if (parts.get(i).chars().allMatch(Character::isLetter)) {
                    kinds.get(i).remove(Kind.SIZE);
                }
            }
        }
        baseName(parts, kinds);
        String size = joined(parts, kinds, (kind, part) -> kind.contains(Kind.SIZE));
        String finetune = joined(parts, kinds, (kind, part) -> kind.contains(Kind.FINETUNE));
        String version =
                joined(parts, kinds, (kind, part) -> kind.contains(Kind.VERSION) && !kind.contains(Kind.BASENAME));
        String basename = joined(parts, kinds, (kind, part) -> kind.contains(Kind.BASENAME));
        boolean ambiguous = size == null && finetune == null && version == null;
        String distinctSize = size == null ? null : String.join("-", new LinkedHashSet<>(List.of(size.split("-"))));
        return new ModelNameParts(name, organization, ambiguous ? null : basename, finetune, version, distinctSize);
    }

    private static void classify(List<String> parts, int i, Set<Kind> kinds, long parameters) {
        String part = parts.get(i);
        if (VERSION.matcher(part).matches()) {
            kinds.add(Kind.VERSION);
        } else if (TYPE.matcher(part).matches()) {
            kinds.add(Kind.TYPE);
            parts.set(i, part.toUpperCase(Locale.ROOT));
        } else if (i > 0 && SIZE.matcher(part).matches()) {
            parts.set(i, size(part, kinds, parameters));
        } else if (i > 0 && FINETUNE.matcher(part).matches()) {
            kinds.add(Kind.FINETUNE);
        }
    }

    private static String size(String found, Set<Kind> kinds, long parameters) {
        String part = found.replace('_', '.');
        int last = part.length() - 1;
        if (Character.isDigit(part.charAt(last))) {
            // bloom-7b1 is 7.1b
            part = part.substring(0, last - 1) + "." + part.charAt(last) + part.charAt(last - 1);
            last++;
        }
        if (last > 0 && Character.isDigit(part.charAt(last - 1)) && "kmbt".indexOf(part.charAt(last)) >= 0) {
            part = part.substring(0, last) + Character.toUpperCase(part.charAt(last));
        }
        int power = " KMBT".indexOf(part.charAt(last));
        try {
            double stated = Double.parseDouble(part.substring(0, last)) * Math.pow(1000, power);
            if (parameters > 0 && Math.abs(stated - parameters) > Math.floorDiv(7 * parameters, 8L)) {
                kinds.add(Kind.FINETUNE);
                part = part.substring(0, last) + Character.toLowerCase(part.charAt(last));
            }
        } catch (NumberFormatException e) {
            // A word, or one of experts: a size as it stands.
            kinds.add(Kind.SIZE);
        }
        if (kinds.isEmpty()) {
            kinds.add(Kind.SIZE);
        }
        return part;
    }

    /** The parts from the beginning on that are nothing else or versions, without the versions at their end. */
    private static void baseName(List<String> parts, List<Set<Kind>> kinds) {
        boolean start = true;
        for (int i = 0; i < parts.size(); i++) {
            Set<Kind> kind = kinds.get(i);
            if (start
                    && (kind.isEmpty() && Character.isLetter(parts.get(i).charAt(0)) || kind.contains(Kind.VERSION))) {
                kind.add(Kind.BASENAME);
            } else {
                start = false;
                if (kind.isEmpty()) {
                    kind.add(Kind.FINETUNE);
                }
            }
        }
        for (int i = parts.size() - 1; i >= 0; i--) {
            if (!kinds.get(i).contains(Kind.BASENAME) || kinds.get(i).size() < 2) {
                return;
            }
            kinds.get(i).remove(Kind.BASENAME);
        }
    }

    private static @Nullable String joined(
            List<String> parts, List<Set<Kind>> kinds, BiPredicate<Set<Kind>, String> wanted) {
        String joined = IntStream.range(0, parts.size())
                .filter(i -> wanted.test(kinds.get(i), parts.get(i)))
                .mapToObj(parts::get)
                .collect(Collectors.joining("-"));
        return joined.isEmpty() ? null : joined;
    }

    /** A name for people: words begin with a capital letter unless they have one, or are numbers. */
    static String title(String id) {
        return Arrays.stream(id.strip().replace('-', ' ').split("\\s+"))
                .map(word -> isLower(word) && !KEPT_WORD.matcher(word).matches() ? capitals(word) : word)
                .collect(Collectors.joining(" "));
    }

    private static boolean isLower(String word) {
        return word.chars().anyMatch(Character::isLowerCase) && word.chars().noneMatch(Character::isUpperCase);
    }

    private static String capitals(String word) {
        StringBuilder title = new StringBuilder();
        for (int i = 0; i < word.length(); i++) {
            boolean inside = i > 0 && Character.isLetter(word.charAt(i - 1));
            title.append(inside ? Character.toLowerCase(word.charAt(i)) : Character.toUpperCase(word.charAt(i)));
        }
        return title.toString();
    }
}
