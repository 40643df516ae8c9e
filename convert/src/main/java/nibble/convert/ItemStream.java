package nibble.convert;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import nibble.convert.ConversionReport.Underflow;
import nibble.convert.ConversionRun.Item;
import nibble.convert.ConversionRun.Sink;
import nibble.files.digest.HashedInput;
import nibble.files.digest.HashedOutput;

/**
 * Holds items of a conversion on their way from the process that makes them to the one that writes them: for each item
 * its parts (the tensor's number, the length, the bytes), −1, and its losses as JSON; then a SHA-256.
 */
public final class ItemStream {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final TypeReference<List<Underflow>> LOSSES = new TypeReference<>() {};
    private static final int END = -1;
    /** Far above any part of a tensor that is converted at a time. */
    private static final int MOST_BYTES = Integer.MAX_VALUE - 8;

    private static final int CHUNK = 1 << 20;
    private static final int MOST_JSON = 1 << 20;

    private final HashedInput hashed;
    private final DataInputStream in;

    /** Begins to read what {@link #write} wrote. */
    public ItemStream(InputStream from) {
        this.hashed = new HashedInput(from);
        this.in = new DataInputStream(hashed);
    }

    /** Makes items and writes them. */
    public static void write(List<Item> items, OutputStream to) throws IOException {
        HashedOutput hashed = new HashedOutput(to);
        DataOutputStream out = new DataOutputStream(hashed);
        for (Item item : items) {
            List<Underflow> lost =
                    item.body().write((tensor, part) -> writePart(item.outputs().indexOf(tensor), part, out));
            out.writeInt(END);
            byte[] json = JSON.writeValueAsBytes(lost);
            out.writeInt(json.length);
            out.write(json);
        }
        out.flush();
        hashed.end();
    }

    private static void writePart(int tensor, MemorySegment part, DataOutputStream out) {
        try {
            out.writeInt(tensor);
            out.writeInt(Math.toIntExact(part.byteSize()));
            for (long at = 0; at < part.byteSize(); at += CHUNK) {
                out.write(
                        part.asSlice(at, Math.min(CHUNK, part.byteSize() - at)).toArray(ValueLayout.JAVA_BYTE));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Reads the next item.
     *
     * @return what was lost below fp16's normal range
     * @throws IOException if these are other bytes
     */
    public List<Underflow> read(Item item, Sink to) throws IOException {
        for (int tensor = in.readInt(); tensor != END; tensor = in.readInt()) {
            int length = in.readInt();
            if (tensor < 0 || tensor >= item.outputs().size() || length < 0 || length > MOST_BYTES) {
                throw new IOException("tensor " + tensor + " of " + item.outputs() + " with " + length + " bytes");
            }
            for (int left = length; left > 0; left -= CHUNK) {
                byte[] bytes = new byte[Math.min(CHUNK, left)];
                in.readFully(bytes);
                to.write(item.outputs().get(tensor), MemorySegment.ofArray(bytes));
            }
        }
        int length = in.readInt();
        if (length < 0 || length > MOST_JSON) {
            throw new IOException(length + " bytes about losses");
        }
        return JSON.readValue(in.readNBytes(length), LOSSES);
    }

    /**
     * Ends the stream.
     *
     * @throws IOException if what was read is not what was written
     */
    public void end() throws IOException {
        hashed.end();
    }
}
