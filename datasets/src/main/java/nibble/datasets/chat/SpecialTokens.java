package nibble.datasets.chat;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * Holds the literal tokens that templates put around turns, by the names that templates know them by.
 *
 * @param names as {@code bos_token} and {@code eos_token}; a name that the model has no token for is not among them
 */
public record SpecialTokens(SequencedMap<String, String> names) {
    private static final String BOS = "bos_token";
    private static final String EOS = "eos_token";

    public SpecialTokens {
        names = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(names));
    }

    /**
     * Names the tokens.
     *
     * @param bos begins a text, {@code eos} ends one; empty if the model has none
     */
    public SpecialTokens(String bos, String eos) {
        this(present(bos, eos));
    }

    private static SequencedMap<String, String> present(String bos, String eos) {
        SequencedMap<String, String> names = new LinkedHashMap<>();
        if (!bos.isEmpty()) {
            names.put(BOS, bos);
        }
        if (!eos.isEmpty()) {
            names.put(EOS, eos);
        }
        return names;
    }

    /** Returns the same without the token that begins a text. */
    public SpecialTokens withoutBos() {
        SequencedMap<String, String> rest = new LinkedHashMap<>(names);
        rest.put(BOS, "");
        return new SpecialTokens(rest);
    }
}
