package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Holds the input of a model.
 *
 * @param text after the template, if there was one
 * @param ids its tokens
 * @param pieces the tokens' texts in the vocabulary, one for each id
 */
public record TokenizedText(String text, List<Integer> ids, List<String> pieces) {
    public static TokenizedText of(String text, int[] ids, Map<Integer, String> vocabulary) {
        List<String> pieces = new ArrayList<>();
        for (int id : ids) {
            pieces.add(vocabulary.getOrDefault(id, ""));
        }
        return new TokenizedText(text, Arrays.stream(ids).boxed().toList(), pieces);
    }

    /** Returns the text, an empty line, then an id and its piece a line. */
    public String shown() {
        StringBuilder out = new StringBuilder(text);
        out.append(text.endsWith("\n") ? "\n" : "\n\n");
        for (int i = 0; i < ids.size(); i++) {
            String piece = pieces.get(i)
                    .replace("\\", "\\\\")
                    .replace("\n", "\\n")
                    .replace("\r", "\\r")
                    .replace("\t", "\\t");
            out.append(ids.get(i)).append('\t').append(piece).append('\n');
        }
        return out.toString();
    }
}
