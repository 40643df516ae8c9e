package nibble.eval.harness;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Says how tasks of files are measured where it is not as the files say.
 *
 * @param folder of further files, which may take the place of those that come with Nibble
 * @param limit documents of a task at most
 * @param seed of the generator that draws examples
 * @param generation keys of {@code generation_kwargs} to use instead of the files'
 * @param chat how requests become conversations
 */
public record HarnessOptions(
        Optional<Path> folder, Limit limit, long seed, Map<String, @Nullable Object> generation, Chat chat) {
    public HarnessOptions(Optional<Path> folder, Limit limit, long seed, Map<String, @Nullable Object> generation) {
        this(folder, limit, seed, generation, Chat.NONE);
    }

    /**
     * Says how requests become conversations.
     *
     * @param applied whether a chat template makes the texts
     * @param template its name; null for the model's usual one
     * @param system an instruction to begin with; null for none
     * @param multiturn whether each example is a question and an answer
     */
    public record Chat(
            boolean applied,
            @Nullable String template,
            @Nullable String system,
            boolean multiturn) {
        /** Takes plain texts. */
        public static final Chat NONE = new Chat(false, null, null, false);
    }

    /** The harness's seed. */
    public static final long SEED = 1234;

    /** Bounds the documents of a task: a number, or below 1 a share of them. */
    public record Limit(double value) {
        /** Takes all documents. */
        public static final Limit NONE = new Limit(Double.POSITIVE_INFINITY);

        int of(int documents) {
            double most = value < 1 ? Math.ceil(documents * value) : Math.floor(value);
            return (int) Math.min(documents, most);
        }
    }

    /** Returns what the files say. */
    public static HarnessOptions usual() {
        return new HarnessOptions(Optional.empty(), Limit.NONE, SEED, Map.of());
    }

    /**
     * Reads keys and values as the harness's {@code --gen_kwargs} has them: {@code max_gen_toks=64,do_sample=false}.
     *
     * @throws IllegalArgumentException if there is no value behind a key
     */
    public static Map<String, @Nullable Object> generation(List<String> pairs) {
        Map<String, @Nullable Object> keys = new LinkedHashMap<>();
        for (String pair : pairs) {
            int sign = pair.indexOf('=');
            if (sign < 1) {
                throw new IllegalArgumentException("\"" + pair + "\" is no KEY=VALUE");
            }
            keys.put(
                    pair.substring(0, sign).strip(),
                    value(pair.substring(sign + 1).strip()));
        }
        return keys;
    }

    private static @Nullable Object value(String text) {
        return switch (text) {
            case "true", "True" -> true;
            case "false", "False" -> false;
            case "none", "None" -> null;
            default -> {
                if (text.matches("[+-]?\\d{1,18}")) {
                    yield Long.parseLong(text);
                }
                yield text.matches("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?")
                        ? (Object) Double.parseDouble(text)
                        : text;
            }
        };
    }
}
