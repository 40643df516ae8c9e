package nibble.convert;

import java.util.List;

/**
 * Reports what a conversion did.
 *
 * @param from format of the source, as {@code AWQ 4-bit} or {@code BF16}
 * @param to format of the output
 * @param inputBytes tensor bytes read
 * @param outputBytes bytes of all files written
 * @param tensors tensors written
 * @param underflows tensors with numbers too small for fp16's normal range
 * @param dropped tensors of the source that no loader uses, as {@code rotary_emb.inv_freq}, and that were left out
 * @param notes what else a user should know of the output, a sentence each
 * @param wallSeconds from start to durable output
 */
public record ConversionReport(
        String from,
        String to,
        long inputBytes,
        long outputBytes,
        int tensors,
        List<Underflow> underflows,
        List<String> dropped,
        List<String> notes,
        double wallSeconds) {

    /**
     * Counts the numbers of a tensor that are too small for fp16's normal range and changed by more than rounding does
     * elsewhere.
     *
     * @param values how many
     * @param becameZero how many of them are zero now
     * @param first index of the first one, as {@code [3, 17]}
     * @param largest magnitude of the largest one
     */
    public record Underflow(String tensor, long values, long becameZero, String first, float largest) {}

    public ConversionReport {
        underflows = List.copyOf(underflows);
        dropped = List.copyOf(dropped);
        notes = List.copyOf(notes);
    }
}
