package nibble.datasets.chat;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * The literal tokens that templates put around turns, by the names that templates know them by.
 *
 * @param names as {@code bos_token} and {@code eos_token}; a name that the model has no token for is not among them
 */
public record SpecialTokens(SequencedMap<String, String> names) {
    private static final String BOS = "bos_token";
    private static final String EOS = "eos_token";

    public SpecialTokens {
        names = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(names));
    }

    /** @param bos begins a text, {@code eos} ends one; empty if the model has none */
    public SpecialTokens(String bos, String eos) {
        this(new LinkedHashMap<>(Map.of(BOS, bos, EOS, eos)));
    }

    /** The same without the token that begins a text. */
    public SpecialTokens withoutBos() {
        SequencedMap<String, String> rest = new LinkedHashMap<>(names);
        rest.put(BOS, "");
        return new SpecialTokens(rest);
    }
}
