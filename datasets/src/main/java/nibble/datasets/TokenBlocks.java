package nibble.datasets;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Calibration ids, cut into blocks of one length. The documents are encoded in order, joined into one stream that
 * begins with the one BOS id (if the tokenizer has one), and cut: no document is dropped for being long, and short ones
 * fill blocks together.
 *
 * @param blocks [samples][sequence length]
 * @param tokensFound ids encoded; encoding stops with the document that fills the last block
 * @param description of the text, with its SHA-256
 */
public record TokenBlocks(int[][] blocks, long tokensFound, String description) {
    // A document above this is encoded in parts that end at a line end: the encoder needs some 130 bytes of memory
    // for each character. Far above both bundled documents, so those are encoded whole.
    private static final int MAX_PART_CHARACTERS = 4_000_000;

    /**
     * Cuts the first {@code samples} blocks.
     *
     * @param sequenceLength ids in a block
     * @throws BadDatasetException if the text gives fewer blocks; the message says how many
     */
    public static TokenBlocks cut(Tokenizer tokenizer, CalibrationText text, int samples, int sequenceLength) {
        if (samples < 1 || sequenceLength < 1) {
            throw new IllegalArgumentException("samples and sequence length must be positive, found %d and %d"
                    .formatted(samples, sequenceLength));
        }
        long wanted = (long) samples * sequenceLength;
        List<int[]> encoded = new ArrayList<>();
        long found = 0;
        boolean first = true;
        for (String document : text.documents()) {
            for (String part : parts(document, MAX_PART_CHARACTERS)) {
                if (found >= wanted) {
                    break;
                }
                int[] ids = tokenizer.encode(part, first);
                first = false;
                encoded.add(ids);
                found += ids.length;
            }
        }
        if (found < wanted) {
            long full = found / sequenceLength;
            String advice = full > 0 ? "--samples " + full + " or " : "";
            throw new BadDatasetException(
                    "%d blocks of %d tokens found in %s (%d tokens), %d asked; give %sa larger --calibration"
                            .formatted(full, sequenceLength, text.description(), found, samples, advice));
        }
        return new TokenBlocks(
                cut(encoded, samples, sequenceLength), found, text.description() + ", sha256 " + text.sha256());
    }

    /** Number of ids in all blocks. */
    public long tokens() {
        return Arrays.stream(blocks).mapToLong(block -> block.length).sum();
    }

    private static int[][] cut(List<int[]> encoded, int samples, int length) {
        int[][] blocks = new int[samples][length];
        long at = 0;
        for (int[] ids : encoded) {
            int from = 0;
            while (from < ids.length && at < (long) samples * length) {
                int column = (int) (at % length);
                int count = Math.min(ids.length - from, length - column);
                System.arraycopy(ids, from, blocks[(int) (at / length)], column, count);
                from += count;
                at += count;
            }
        }
        return blocks;
    }

    /** Parts of at most about {@code size} characters that end after a newline, so that no word is cut. */
    static List<String> parts(String document, int size) {
        List<String> parts = new ArrayList<>();
        int begin = 0;
        while (document.length() - begin > size) {
            int newline = document.lastIndexOf('\n', begin + size - 1);
            int end = newline >= begin ? newline + 1 : begin + size;
            if (Character.isHighSurrogate(document.charAt(end - 1))) {
                end++;
            }
            parts.add(document.substring(begin, end));
            begin = end;
        }
        if (begin < document.length()) {
            parts.add(document.substring(begin));
        }
        return parts;
    }
}
