package nibble.datasets;

import ai.djl.engine.EngineException;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import nibble.files.Reasons;

/** A tokenizer.json, run by Hugging Face's own tokenizers library through DJL. */
final class HuggingFaceTokenizerFile implements Tokenizer {
    static {
        // Read by DJL when its classes load. It would otherwise report its use from EC2 machines, and where it sees a
        // CUDA driver fetch another native library over the network; ours is in the jar.
        setDefault("OPT_OUT_TRACKING", "true");
        setDefault("ai.djl.offline", "true");
        setDefault("RUST_FLAVOR", "cpu");
        // The native library is unpacked here once, into a folder of its version.
        setDefault("DJL_CACHE_DIR", NativeCache.folder().toString());
        setDefault("ENGINE_CACHE_DIR", NativeCache.folder().toString());
    }

    private final HuggingFaceTokenizer tokenizer;
    private final int[] leading;
    private final int vocabularySize;
    // Encoding may run on many threads; closing must wait for them, since it frees native memory.
    private final ReadWriteLock lock = new ReentrantReadWriteLock();

    private HuggingFaceTokenizerFile(HuggingFaceTokenizer tokenizer, int[] leading, int vocabularySize) {
        this.tokenizer = tokenizer;
        this.leading = leading;
        this.vocabularySize = vocabularySize;
    }

    /** @param file where the JSON comes from, for messages */
    static Tokenizer open(Path file, byte[] json, Optional<List<Integer>> leading) {
        try {
            NativeRules.check(json);
            int vocabularySize = vocabularySize(json);
            // Without these options DJL cuts every text at 512 ids.
            HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.newInstance(
                    new ByteArrayInputStream(json), Map.of("truncation", "false", "padding", "false"));
            return new HuggingFaceTokenizerFile(
                    tokenizer,
                    leading.map(ids -> ids.stream().mapToInt(Integer::intValue).toArray())
                            .orElseGet(() -> leading(tokenizer)),
                    vocabularySize);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read as a tokenizer.json: " + Reasons.of(e), e);
        } catch (EngineException | LinkageError e) {
            throw new BadDatasetException(
                    ("%s: the tokenizer library of this platform cannot be loaded from %s: %s;"
                                    + " set NIBBLE_CACHE to a folder that can be written and run from")
                            .formatted(file, NativeCache.folder(), rootMessage(e)),
                    e);
        } catch (RuntimeException e) {
            throw new BadDatasetException(
                    file + ": not a tokenizer this version can use: " + Reasons.of(e) + "; fetch the file again", e);
        }
    }

    @Override
    public int[] encode(String text, boolean bos) {
        checkPaired(text);
        long[] ids;
        lock.readLock().lock();
        try {
            ids = ids(tokenizer, text, false);
        } finally {
            lock.readLock().unlock();
        }
        int lead = bos ? leading.length : 0;
        int[] result = new int[lead + ids.length];
        System.arraycopy(leading, 0, result, 0, lead);
        for (int i = 0; i < ids.length; i++) {
            result[lead + i] = (int) ids[i];
        }
        return result;
    }

    @Override
    public String decode(int[] ids) {
        return decode(ids, true);
    }

    @Override
    public String decodeWithSpecial(int[] ids) {
        return decode(ids, false);
    }

    private String decode(int[] ids, boolean withoutSpecial) {
        long[] wide = Arrays.stream(ids).asLongStream().toArray();
        lock.readLock().lock();
        try {
            return tokenizer.decode(wide, withoutSpecial);
        } finally {
            lock.readLock().unlock();
        }
    }

    @Override
    public int vocabularySize() {
        return vocabularySize;
    }

    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            tokenizer.close();
        } finally {
            lock.writeLock().unlock();
        }
    }

    private static long[] ids(HuggingFaceTokenizer tokenizer, String text, boolean specialTokens) {
        return tokenizer.encode(text, specialTokens, false).getIds();
    }

    /** What the post-processor puts before a text. */
    private static int[] leading(HuggingFaceTokenizer tokenizer) {
        long[] plain = ids(tokenizer, "a", false);
        long[] processed = ids(tokenizer, "a", true);
        for (int at = 0; plain.length > 0 && at + plain.length <= processed.length; at++) {
            if (Arrays.equals(processed, at, at + plain.length, plain, 0, plain.length)) {
                return Arrays.stream(processed)
                        .limit(at)
                        .mapToInt(id -> (int) id)
                        .toArray();
            }
        }
        return new int[0];
    }

    /** One more than the largest id in the model's vocabulary and the added tokens. */
    private static int vocabularySize(byte[] json) throws IOException {
        int largest = -1;
        try (JsonParser parser = new JsonFactory().createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("found no JSON object");
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                if (field.equals("model") || field.equals("added_tokens")) {
                    largest = Math.max(largest, largestId(parser));
                } else {
                    parser.skipChildren();
                }
            }
        }
        if (largest < 0) {
            throw new IOException("found no vocabulary");
        }
        return largest + 1;
    }

    /** Largest integer among the entries of "vocab" and the fields "id" below the current value. */
    private static int largestId(JsonParser parser) throws IOException {
        int largest = -1;
        int depth = 0;
        int vocabularyDepth = Integer.MAX_VALUE;
        boolean vocabularyNext = false;
        JsonToken token = parser.currentToken();
        while (true) {
            if (token == null) {
                throw new IOException("ends early");
            } else if (token.isStructStart()) {
                depth++;
                if (vocabularyNext) {
                    vocabularyDepth = depth;
                }
            } else if (token.isStructEnd()) {
                if (depth == vocabularyDepth) {
                    vocabularyDepth = Integer.MAX_VALUE;
                }
                depth--;
                if (depth == 0) {
                    return largest;
                }
            } else if (token == JsonToken.VALUE_NUMBER_INT
                    && (depth == vocabularyDepth || "id".equals(parser.currentName()))) {
                largest = Math.max(largest, parser.getIntValue());
            }
            vocabularyNext = token == JsonToken.FIELD_NAME && depth == 1 && "vocab".equals(parser.currentName());
            if (depth == 0) {
                return largest;
            }
            token = parser.nextToken();
        }
    }

    /** The native library takes UTF-8, which has no form for half a surrogate pair. */
    private static void checkPaired(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                if (Character.isHighSurrogate(text.charAt(i))
                        && i + 1 < text.length()
                        && Character.isLowSurrogate(text.charAt(i + 1))) {
                    i++;
                } else {
                    throw new BadDatasetException("text has half a surrogate pair (U+%04X) at character %d; remove it"
                            .formatted((int) text.charAt(i), i));
                }
            }
        }
    }

    private static String rootMessage(Throwable thrown) {
        Throwable root = thrown;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return Reasons.of(root);
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }
}
