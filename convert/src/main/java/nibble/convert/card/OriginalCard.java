package nibble.convert.card;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The card of the model that was quantized: what its front matter says, and its text.
 *
 * @param license empty if it names none
 * @param languages empty if it names none
 * @param body the text without the front matter
 */
record OriginalCard(Optional<String> license, List<String> languages, String body) {
    static final OriginalCard NONE = new OriginalCard(Optional.empty(), List.of(), "");

    static OriginalCard parse(String text) {
        List<String> lines = text.replace("\uFEFF", "").lines().toList();
        int end = -1;
        if (!lines.isEmpty() && lines.getFirst().strip().equals("---")) {
            for (int i = 1; i < lines.size() && end < 0; i++) {
                end = lines.get(i).strip().equals("---") ? i : -1;
            }
        }
        List<String> front = end < 0 ? List.of() : lines.subList(1, end);
        String body = String.join("\n", lines.subList(end + 1, lines.size())).strip();
        List<String> license = values(front, "license");
        return new OriginalCard(license.stream().findFirst(), values(front, "language"), body);
    }

    /** The values of a key of the top level: after the colon, in brackets, or as a list below. No YAML beyond that is read. */
    private static List<String> values(List<String> front, String key) {
        List<String> found = new ArrayList<>();
        for (int i = 0; i < front.size(); i++) {
            if (!front.get(i).startsWith(key + ":")) {
                continue;
            }
            String value = front.get(i).substring(key.length() + 1).strip();
            if (value.isEmpty()) {
                for (int j = i + 1; j < front.size() && front.get(j).strip().startsWith("- "); j++) {
                    found.add(plain(front.get(j).strip().substring(2)));
                }
            } else {
                for (String one : value.replaceAll("^\\[|\\]$", "").split(",")) {
                    found.add(plain(one));
                }
            }
        }
        found.removeIf(String::isEmpty);
        return found;
    }

    private static String plain(String value) {
        return value.strip().replaceAll("^['\"]|['\"]$", "");
    }
}
