package nibble.cluster.quantize;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.journal.FinishedLayer;
import nibble.files.digest.HashedInput;
import nibble.files.digest.HashedOutput;
import nibble.pack.layout.PackedTensor;

/** Writes a finished layer down and reads it: a head as JSON, its length first; the tensors' bytes; a SHA-256. */
final class LayerFile {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int MOST_JSON = 1 << 28;

    /** Describes the tensors that follow. */
    record Head(int layer, String sourceSha256, QuantizationReport.Layer report, List<Tensor> tensors) {}

    /** Describes a tensor. */
    record Tensor(String name, long bytes) {}

    private LayerFile() {}

    static void write(FinishedLayer layer, OutputStream to) throws IOException {
        byte[] head = JSON.writeValueAsBytes(new Head(
                layer.layer(),
                layer.sourceSha256(),
                layer.report(),
                layer.tensors().stream()
                        .map(tensor -> new Tensor(tensor.name(), tensor.data().byteSize()))
                        .toList()));
        HashedOutput hashed = new HashedOutput(to);
        DataOutputStream out = new DataOutputStream(hashed);
        out.writeInt(head.length);
        out.write(head);
        for (PackedTensor tensor : layer.tensors()) {
            out.write(tensor.data().toArray(ValueLayout.JAVA_BYTE));
        }
        out.flush();
        hashed.end();
    }

    /**
     * @param most bytes that a tensor of the model can have
     * @throws IOException if these are other bytes
     */
    static FinishedLayer read(InputStream from, int layer, long most) throws IOException {
        HashedInput hashed = new HashedInput(from);
        DataInputStream in = new DataInputStream(hashed);
        int length = in.readInt();
        if (length < 0 || length > MOST_JSON) {
            throw new IOException(length + " bytes of head: this is no layer");
        }
        Head head = JSON.readValue(in.readNBytes(length), Head.class);
        if (head.layer() != layer) {
            throw new IOException("layer " + head.layer() + " found, layer " + layer + " expected");
        }
        List<PackedTensor> tensors = new ArrayList<>();
        for (Tensor tensor : head.tensors()) {
            if (tensor.bytes() < 0 || tensor.bytes() > Math.min(most, Integer.MAX_VALUE - 8)) {
                throw new IOException(tensor.name() + " with " + tensor.bytes() + " bytes, at most " + most);
            }
            byte[] bytes = new byte[(int) tensor.bytes()];
            in.readFully(bytes);
            tensors.add(new PackedTensor(tensor.name(), MemorySegment.ofArray(bytes)));
        }
        hashed.end();
        return new FinishedLayer(layer, head.sourceSha256(), tensors, head.report());
    }
}
