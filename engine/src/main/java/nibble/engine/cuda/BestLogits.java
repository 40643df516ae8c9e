package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
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
        List<RowLogits> rows = new ArrayList<>();
        for (int row = 0; row < wanted.size(); row++) {
            rows.add(new OnCard(row, wanted.get(row).asked()));
        }
        return rows;
    }

    /** A row whose logits are on the card until the next step, and whose greatest ones are here until then. */
    private final class OnCard implements RowLogits {
        private final int row;
        private final int asked;

        OnCard(int row, int asked) {
            this.row = row;
            this.asked = asked;
        }

        private int word(int index) {
            return here.segment().get(ValueLayout.JAVA_INT, (long) row * rowBytes() + (long) Integer.BYTES * index);
        }

        private float number(int index) {
            return Float.intBitsToFloat(word(index));
        }

        @Override
        public Optional<Likeliest> likeliest() {
            return likeliest(most);
        }

        @Override
        public Optional<Likeliest> likeliest(int first) {
            int count = Math.min(word(0), first);
            if (count < 0) {
                return Optional.empty();
            }
            float[] values = new float[count];
            int[] ids = new int[count];
            for (int i = 0; i < count; i++) {
                values[i] = number(headWords + i);
                ids[i] = word(headWords + most + i);
            }
            return Optional.of(
                    new Likeliest(ids, values, logits.columns(), number(1), number(2), asked, number(3), word(4)));
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
