package nibble.datasets;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Holds calibration ids, cut into blocks of one length. The documents are encoded in order, joined into one stream that
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
        Encoded encoded = encode(tokenizer, text, samples, sequenceLength);
        long full = encoded.found() / sequenceLength;
        if (full < samples) {
            String advice = full > 0 ? "--samples " + full : shorter(encoded.found());
            throw tooFew(text, encoded, sequenceLength, ", " + samples + " asked; give " + advice);
        }
        return blocks(text, encoded, samples, sequenceLength);
    }

    /**
     * Cuts as many blocks as the text gives, at most {@code most}: how many tokens a text has is for the tokenizer to
     * say.
     *
     * @param sequenceLength ids in a block
     * @throws BadDatasetException if the text does not fill one block
     */
    public static TokenBlocks cutUpTo(Tokenizer tokenizer, CalibrationText text, int most, int sequenceLength) {
        Encoded encoded = encode(tokenizer, text, most, sequenceLength);
        int full = (int) Math.min(most, encoded.found() / sequenceLength);
        if (full < 1) {
            throw tooFew(text, encoded, sequenceLength, "; give " + shorter(encoded.found()));
        }
        return blocks(text, encoded, full, sequenceLength);
    }

    private static String shorter(long found) {
        return found > 1 ? "--seq-len " + found : "";
    }

    private static BadDatasetException tooFew(CalibrationText text, Encoded encoded, int sequenceLength, String rest) {
        return new BadDatasetException("%d blocks of %d tokens found in %s (%d tokens)%s%sa larger --calibration"
                .formatted(
                        encoded.found() / sequenceLength,
                        sequenceLength,
                        text.description(),
                        encoded.found(),
                        rest,
                        rest.endsWith(" ") ? "" : " or "));
    }

    private static TokenBlocks blocks(CalibrationText text, Encoded encoded, int samples, int sequenceLength) {
        return new TokenBlocks(
                cut(encoded.ids(), samples, sequenceLength),
                encoded.found(),
                text.description() + ", sha256 " + text.sha256());
    }

    /** Ids of parts of documents, in order, and their number. */
    private record Encoded(List<int[]> ids, long found) {}

    /** Encodes until there are ids for all blocks, or no more text. */
    private static Encoded encode(Tokenizer tokenizer, CalibrationText text, int samples, int sequenceLength) {
        if (samples < 1 || sequenceLength < 1) {
            throw new IllegalArgumentException(
                    "samples and sequence length must be positive, found %d and %d".formatted(samples, sequenceLength));
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
        return new Encoded(encoded, found);
    }

    /** Returns the number of ids in all blocks. */
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
