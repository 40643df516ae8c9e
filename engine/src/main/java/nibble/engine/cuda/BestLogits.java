package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.cuda.attention.PagedInputs;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.cuda.driver.PinnedMemory;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.RowLogits;

/** Launches {@code best_logits.cu} and reads what it found. Owns its buffers; the logits are the caller's. */
final class BestLogits implements AutoCloseable {
    private static final String FILE = "best_logits.cu";

    private final CudaResources card;
    private final CudaMatrix logits;
    private final Kernel kernel;
    private final int threads;
    private final int most;
    private final int headWords;
    private final DeviceMemory.Buffer results;
    private final PinnedMemory here;

    /** @param logits [most rows, vocabulary] */
    BestLogits(CudaResources card, CudaMatrix logits) {
        this.card = card;
        this.logits = logits;
        this.kernel = card.kernels().kernel(FILE, "best_logits", Map.of());
        int[] launch = card.kernels().integers(FILE, "best_logits_launch", Map.of());
        this.threads = launch[0];
        this.most = launch[1];
        this.headWords = launch[2];
        int bytes = Math.multiplyExact(logits.rows(), rowBytes());
        this.here = new PinnedMemory(bytes);
        try {
            this.results = card.memory().allocate(bytes, "the greatest logits");
        } catch (RuntimeException e) {
            here.close();
            throw e;
        }
    }

    static List<KernelCache.Code> codes() {
        return List.of(new KernelCache.Code(FILE, Map.of()));
    }

    private int rowBytes() {
        return Integer.BYTES * (headWords + 2 * most);
    }

    /** Puts the search in the first rows into the stream. */
    void find(int rows, PagedInputs inputs) {
        kernel.launch(
                card.stream(),
                Kernel.Grid.of(rows),
                threads,
                0,
                logits.address(),
                logits.columns(),
                inputs.perDegree(),
                inputs.asked(),
                results.address());
    }

    /** Waits for what was found in the first rows. */
    List<RowLogits> read(List<BatchDecoder.Wanted> wanted) {
        here.fromDevice(results, 0, (long) wanted.size() * rowBytes(), card.stream());
        card.stream().synchronize();
        int ints = rowBytes() / Integer.BYTES;
        int[] found = new int[wanted.size() * ints];
        MemorySegment.copy(here.segment(), ValueLayout.JAVA_INT, 0, found, 0, found.length);
        List<RowLogits> rows = new ArrayList<>();
        for (int row = 0; row < wanted.size(); row++) {
            rows.add(new OnCard(row, likeliest(found, row * ints, wanted.get(row))));
        }
        return rows;
    }

    /** @param at the row's beginning in {@code found} */
    private Optional<Likeliest> likeliest(int[] found, int at, BatchDecoder.Wanted wanted) {
        int count = found[at];
        if (count < 0) {
            return Optional.empty();
        }
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = Float.intBitsToFloat(found[at + headWords + i]);
        }
        int ids = at + headWords + most;
        return Optional.of(new Likeliest(
                Arrays.copyOfRange(found, ids, ids + count),
                values,
                logits.columns(),
                Float.intBitsToFloat(found[at + 1]),
                Float.intBitsToFloat(found[at + 2]),
                wanted.asked(),
                Float.intBitsToFloat(found[at + 3]),
                found[at + 4]));
    }

    /** A row whose logits are on the card until the next step. */
    private final class OnCard implements RowLogits {
        private final int row;
        private final Optional<Likeliest> likeliest;

        OnCard(int row, Optional<Likeliest> likeliest) {
            this.row = row;
            this.likeliest = likeliest;
        }

        @Override
        public Optional<Likeliest> likeliest() {
            return likeliest;
        }

        @Override
        public float[] all() {
            float[] values = new float[logits.columns()];
            card.transfers().fetch(logits.buffer(), logits.byteOffset(row), MemorySegment.ofArray(values));
            return values;
        }
    }

    @Override
    public void close() {
        results.close();
        here.close();
    }
}
