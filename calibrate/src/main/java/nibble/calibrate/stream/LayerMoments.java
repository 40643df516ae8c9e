package nibble.calibrate.stream;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import nibble.calibrate.job.QuantizationReport;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.engine.quantize.SavedMoment;
import nibble.files.digest.HashedInput;
import nibble.files.digest.HashedOutput;
import org.jspecify.annotations.Nullable;

/**
 * Holds the second moments of a layer's inputs in a form that another process can go on with, to the last bit.
 *
 * <p>As a stream of bytes, big-endian: a mark, the number of inputs, what the experts saw as JSON (its length first; 0
 * for none); for each input its number, expert, rows, features, their {@code Σ |x|} and half of {@code C}. The SHA-256
 * of all that comes last.
 *
 * @param inputs in order of input and expert
 * @param experts what the experts saw; null where there are none
 */
public record LayerMoments(List<Input> inputs, QuantizationReport.@Nullable Experts experts) {
    private static final long MARK = 0x4e49424d4f4d3031L;
    private static final int CHUNK = 1 << 18;
    private static final int MOST_JSON = 1 << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Holds the statistics of one input. */
    public record Input(LinearInput input, Expert expert, SavedMoment moment) {}

    public LayerMoments {
        inputs = inputs.stream()
                .sorted(Comparator.comparing(Input::input).thenComparing(Input::expert))
                .toList();
    }

    /** Writes all of it. */
    public void write(OutputStream to) throws IOException {
        HashedOutput out = new HashedOutput(to);
        DataOutputStream data = new DataOutputStream(out);
        data.writeLong(MARK);
        data.writeInt(inputs.size());
        byte[] json = experts == null ? new byte[0] : JSON.writeValueAsBytes(experts);
        data.writeInt(json.length);
        data.write(json);
        for (Input input : inputs) {
            data.writeInt(input.input().ordinal());
            data.writeInt(input.expert().index());
            data.writeLong(input.moment().rows());
            data.writeInt(input.moment().columns());
            for (double sum : input.moment().absolute()) {
                data.writeDouble(sum);
            }
            data.flush();
            writeFloats(input.moment().triangle(), out);
        }
        data.flush();
        out.end();
    }

    private static void writeFloats(float[] values, OutputStream out) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(4 * CHUNK).order(ByteOrder.BIG_ENDIAN);
        for (int at = 0; at < values.length; at += CHUNK) {
            int count = Math.min(CHUNK, values.length - at);
            bytes.asFloatBuffer().put(values, at, count);
            out.write(bytes.array(), 0, 4 * count);
        }
    }

    /**
     * Reads what {@link #write} wrote of a layer.
     *
     * @throws IOException if these are other bytes, or moments of another layer
     */
    public static LayerMoments read(InputStream from, ModelConfig config, int layer) throws IOException {
        HashedInput in = new HashedInput(from);
        DataInputStream data = new DataInputStream(in);
        int most = 4 * config.linears(layer).size();
        if (data.readLong() != MARK) {
            throw new IOException("no second moments of a layer");
        }
        int count = data.readInt();
        int length = data.readInt();
        if (count < 1 || count > most || length < 0 || length > MOST_JSON) {
            throw new IOException(count + " inputs and " + length + " bytes about experts; the layer has " + most
                    + " inputs at most");
        }
        byte[] json = data.readNBytes(length);
        List<Input> inputs = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            inputs.add(input(data, config, layer));
        }
        in.end();
        return new LayerMoments(inputs, length == 0 ? null : JSON.readValue(json, QuantizationReport.Experts.class));
    }

    private static Input input(DataInputStream data, ModelConfig config, int layer) throws IOException {
        int number = data.readInt();
        Expert expert = new Expert(data.readInt());
        long rows = data.readLong();
        int columns = data.readInt();
        // Before anything is allocated: a layer of this model has such an input.
        boolean known = number >= 0
                && number < LinearInput.values().length
                && config.linears(layer).stream().anyMatch(linear -> fits(linear, number, expert, columns));
        if (!known || rows < 0) {
            throw new IOException("input " + number + " of " + expert + " with " + columns + " features, which layer "
                    + layer + " does not have");
        }
        double[] absolute = new double[columns];
        for (int i = 0; i < columns; i++) {
            absolute[i] = data.readDouble();
        }
        float[] triangle = new float[Math.toIntExact((long) columns * (columns + 1) / 2)];
        byte[] bytes = new byte[4 * Math.min(CHUNK, triangle.length)];
        for (int at = 0; at < triangle.length; at += CHUNK) {
            int count = Math.min(CHUNK, triangle.length - at);
            data.readFully(bytes, 0, 4 * count);
            ByteBuffer.wrap(bytes).order(ByteOrder.BIG_ENDIAN).asFloatBuffer().get(triangle, at, count);
        }
        return new Input(LinearInput.values()[number], expert, new SavedMoment(rows, absolute, triangle));
    }

    private static boolean fits(StoredLinear linear, int number, Expert expert, int columns) {
        return linear.id().input().ordinal() == number
                && linear.id().expert().equals(expert)
                && linear.inFeatures() == columns;
    }
}
