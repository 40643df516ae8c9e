package nibble.engine.cuda.attention;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.CudaCodeMatrix;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.KeptVectors;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Computes attention to keys and values in blocks. Next tokens of many sequences are one launch of {@code
 * paged_attention.cu}; the keys of longer parts are brought together first, by {@code cache_rows.cu}. Owns what it
 * keeps of the last parts.
 */
public final class PagedAttention implements AutoCloseable {
    /** Rows of a block, as the kernels have them. */
    public static final int BLOCK_TOKENS = 16;

    private static final String FILE = "paged_attention.cu";
    private static final String ROWS_FILE = "cache_rows.cu";
    private static final int ROW_THREADS = 128;

    /**
     * Says how the kernel of some heads is launched.
     *
     * @param blocks of a multiprocessor
     * @param headBlocks groups of at most 16 query heads of a kv head
     * @param round keys that the warps of a block take in a turn
     */
    public record Geometry(int threads, int blocks, int headBlocks, int round) {}

    /**
     * Names rows of new tokens, as addresses and elements from a row to the next.
     *
     * @param key 0 where the cache has the rows' keys already; then the value too
     * @param cos 0 where queries are rotated already; then sin too
     */
    public record NewRows(long query, int queryStride, long key, long value, int keyStride, long cos, long sin) {}

    /** Sums of parts of rows, and counters that a launch leaves at zero. */
    public record Workspace(DeviceMemory.Buffer partials, DeviceMemory.Buffer tickets) implements AutoCloseable {
        @Override
        public void close() {
            partials.close();
            tickets.close();
        }
    }

    private final CudaResources card;
    private final KeptVectors vectors;
    private final AttentionKernel attention;
    private final Map<Map<String, Integer>, Geometry> geometries = new HashMap<>();
    /** What the layers of a pass ask for again and again, by identity. */
    private final Map<AttentionShape, Prepared> prepared = new HashMap<>();

    /** The parts of the pass that these are prepared for. */
    private @Nullable List<SequencePart.InBlocks> preparedParts;

    private int @Nullable [] scattered;
    private DeviceMemory.@Nullable Buffer scatteredRows;

    private record Prepared(@Nullable PagedInputs single, Map<SequencePart.InBlocks, DeviceMemory.Buffer> blocks)
            implements AutoCloseable {
        @Override
        public void close() {
            if (single != null) {
                single.close();
            }
            blocks.values().forEach(DeviceMemory.Buffer::close);
        }
    }

    public PagedAttention(CudaResources card, KeptVectors vectors, AttentionKernel attention) {
        this.card = card;
        this.vectors = vectors;
        this.attention = attention;
    }

    /**
     * Returns the constants for heads whose sequences have at most this many tokens.
     *
     * @param coded whether keys and values are 8-bit codes
     */
    public static Map<String, Integer> constants(AttentionShape shape, int contextTokens, boolean coded) {
        AttentionKernel.requireHeadSize(shape);
        Map<String, Integer> constants =
                new HashMap<>(Map.of("HEAD_DIM", shape.headDim(), "QUERIES_PER_KV", shape.heads() / shape.kvHeads()));
        if (shape.window() < contextTokens) {
            constants.put("SLIDING_WINDOW", shape.window());
        }
        if (coded) {
            constants.put("CODES", 1);
        }
        if (shape.hasSinks()) {
            constants.put("SINKS", 1);
        }
        if (shape.caps()) {
            constants.put("SCORE_CAP_BITS", Float.floatToRawIntBits(shape.cap()));
        }
        return constants;
    }

    /** Returns the code of both ways to attend: next tokens, and longer parts. */
    public static List<KernelCache.Code> codes(Map<String, Integer> constants) {
        return List.of(new KernelCache.Code(FILE, constants), new KernelCache.Code(ROWS_FILE, Map.of()));
    }

    public Geometry geometry(Map<String, Integer> constants) {
        return geometries.computeIfAbsent(constants, _ -> {
            int[] of = card.kernels().integers(FILE, "paged_attention_launch", constants);
            return new Geometry(of[0], of[1], of[2], of[3]);
        });
    }

    public Workspace workspace(AttentionShape shape, Geometry geometry, int rows) {
        long partials = (long) Float.BYTES * rows * shape.heads() * PagedInputs.MOST_ITEMS * (shape.headDim() + 2);
        DeviceMemory.Buffer sums = card.memory().allocate(partials, "sums of attention");
        try {
            DeviceMemory.Buffer tickets =
                    card.memory().allocate(4L * rows * shape.kvHeads() * geometry.headBlocks(), "attention's tickets");
            CudaDevice.check(
                    cuMemsetD32Async(tickets.pointer(0), 0, tickets.bytes() / 4, card.stream().stream()), "zeros");
            return new Workspace(sums, tickets);
        } catch (RuntimeException e) {
            sums.close();
            throw e;
        }
    }

    /**
     * Puts attention of the rows of {@code inputs} into the stream.
     *
     * @param arranged 0, or the rows that {@code out} is arranged for ({@code arranged.cuh})
     */
    public void launch(
            AttentionShape shape,
            Map<String, Integer> constants,
            PagedInputs inputs,
            NewRows rows,
            CachedRows keys,
            CachedRows values,
            CudaMatrix out,
            int arranged,
            Workspace workspace) {
        Geometry geometry = geometry(constants);
        int most = card.device().multiprocessors() * geometry.blocks();
        long all = (long) out.rows() * shape.kvHeads() * geometry.headBlocks() * PagedInputs.MOST_ITEMS;
        card.kernels()
                .kernel(FILE, "paged_attention", constants)
                .launch(
                        card.stream(),
                        Kernel.Grid.of(Math.min(most, all)),
                        geometry.threads(),
                        0,
                        card.kernels()
                                .struct(FILE, "paged_attention_fields", constants)
                                .set("out", out.address())
                                .set("keys", keys.address())
                                .set("values", values.address())
                                .set("key_scales", keys.scales())
                                .set("value_scales", values.scales())
                                .set("q", rows.query())
                                .set("k", rows.key())
                                .set("v", rows.value())
                                .set("cos", rows.cos())
                                .set("sin", rows.sin())
                                .set("head", inputs.head())
                                .set("positions", inputs.positions())
                                .set("items", inputs.items())
                                .set("table", inputs.table())
                                .set("partials", workspace.partials().address())
                                .set("tickets", workspace.tickets().address())
                                .set("out_stride", out.columns())
                                .set("arranged", arranged)
                                .set("q_stride", rows.queryStride())
                                .set("kv_stride", rows.keyStride())
                                .set("kv_heads", shape.kvHeads())
                                .set("most_items", PagedInputs.MOST_ITEMS)
                                .set("scale", (float) (shape.scale() / Math.log(2)))
                                .set(
                                        "sinks",
                                        shape.hasSinks()
                                                ? vectors.single(shape.sinks()).address()
                                                : 0L));
    }

    /** Computes attention of parts whose queries are rotated and whose keys are in the cache. */
    public void run(
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        for (SequencePart.InBlocks part : parts) {
            Extents.attention(shape, part, query, keys, values, out);
            if (part.blockTokens() != BLOCK_TOKENS) {
                throw new IllegalArgumentException(
                        "attention: blocks of " + part.blockTokens() + " rows, CUDA has blocks of " + BLOCK_TOKENS);
            }
        }
        CudaMatrix q = CudaMatrix.of(card, query, false);
        CachedRows k = CachedRows.of(card, keys);
        CachedRows v = CachedRows.of(card, values);
        if (k.coded() != v.coded()) {
            throw new IllegalArgumentException("attention: keys or values alone are 8-bit codes");
        }
        CudaMatrix to = CudaMatrix.of(card, out, false);
        int longest = parts.stream().mapToInt(SequencePart.InBlocks::seen).max().orElse(0);
        Map<String, Integer> constants = constants(shape, longest, k.coded());
        Geometry geometry = geometry(constants);
        Prepared here = prepare(shape.withSinks(AttentionShape.NO_SINKS), parts, q.rows(), geometry);
        PagedInputs single = here.single();
        if (single != null) {
            try (Workspace workspace = workspace(shape, geometry, q.rows())) {
                NewRows rows = new NewRows(q.address(), q.columns(), 0, 0, 0, 0, 0);
                launch(shape, constants, single, rows, k, v, to, 0, workspace);
            }
        }
        here.blocks().forEach((part, blocks) -> gathered(shape, part, blocks, q, k, v, to));
    }

    private void gathered(
            AttentionShape shape,
            SequencePart.InBlocks part,
            DeviceMemory.Buffer blocks,
            CudaMatrix query,
            CachedRows keys,
            CachedRows values,
            CudaMatrix out) {
        int columns = keys.columns();
        long bytes = 2L * part.seen() * columns;
        try (CudaMatrix k = new CudaMatrix(
                        card, card.memory().allocate(bytes, "keys of a sequence"), part.seen(), columns, false);
                CudaMatrix v = new CudaMatrix(
                        card, card.memory().allocate(bytes, "values of a sequence"), part.seen(), columns, false)) {
            card.kernels()
                    .kernel(ROWS_FILE, keys.coded() ? "gather_codes" : "gather_rows", Map.of())
                    .launch(
                            card.stream(),
                            new Kernel.Grid(part.seen(), 2, 1),
                            ROW_THREADS,
                            0,
                            keys.address(),
                            values.address(),
                            keys.scales(),
                            values.scales(),
                            blocks.address(),
                            columns,
                            shape.headDim(),
                            k.address(),
                            v.address());
            SequencePart contiguous = new SequencePart(part.firstRow(), part.rows(), part.firstPosition(), 0);
            attention.run(shape, contiguous, query, k, v, out);
        }
    }

    /** Brings the tables of parts to the card, once for all layers: they are known by the list. */
    private Prepared prepare(AttentionShape shape, List<SequencePart.InBlocks> parts, int rows, Geometry geometry) {
        if (preparedParts != parts) {
            forgetPrepared();
        }
        Prepared here = prepared.get(shape);
        if (here != null) {
            return here;
        }
        List<SequencePart.InBlocks> single = new ArrayList<>();
        Map<SequencePart.InBlocks, DeviceMemory.Buffer> blocks = new LinkedHashMap<>();
        try {
            for (SequencePart.InBlocks part : parts) {
                if (part.rows() == 1) {
                    single.add(part);
                } else if (part.rows() > 0) {
                    blocks.put(part, bring(part.blocks(), "blocks of a sequence"));
                }
            }
            here = new Prepared(single.isEmpty() ? null : inputs(shape, single, rows, geometry), blocks);
        } catch (RuntimeException e) {
            blocks.values().forEach(DeviceMemory.Buffer::close);
            throw e;
        }
        prepared.put(shape, here);
        preparedParts = parts;
        return here;
    }

    private void forgetPrepared() {
        preparedParts = null;
        List<Prepared> old = List.copyOf(prepared.values());
        prepared.clear();
        old.forEach(Prepared::close);
    }

    /** Numbers on the card; the caller's. */
    private DeviceMemory.Buffer bring(int[] numbers, String purpose) {
        DeviceMemory.Buffer buffer = card.memory().allocate((long) Integer.BYTES * numbers.length, purpose);
        try {
            card.transfers().bring(MemorySegment.ofArray(numbers), buffer);
        } catch (RuntimeException e) {
            buffer.close();
            throw e;
        }
        return buffer;
    }

    private PagedInputs inputs(AttentionShape shape, List<SequencePart.InBlocks> parts, int rows, Geometry geometry) {
        int columns =
                parts.stream().mapToInt(part -> part.blocks().length).max().orElse(0);
        PagedInputs inputs = new PagedInputs(card, rows, columns, geometry.round());
        try {
            inputs.begin(columns);
            for (SequencePart.InBlocks part : parts) {
                inputs.keys(part.firstRow(), part.firstPosition(), part.blocks(), shape);
            }
            inputs.upload();
        } catch (RuntimeException e) {
            inputs.close();
            throw e;
        }
        return inputs;
    }

    /** Copies row i of {@code source} to row {@code rows[i]}; the array is known by itself, and must not change. */
    public void scatter(Matrix source, int[] rows, Matrix target) {
        CudaMatrix from = CudaMatrix.of(card, source, false);
        CachedRows to = CachedRows.of(card, target);
        Extents.require("scatterRows", "source", source, rows.length, target.columns());
        DeviceMemory.Buffer list = scatteredRows;
        if (rows != scattered || list == null) {
            for (int row : rows) {
                if (row < 0 || row >= target.rows()) {
                    throw new IllegalArgumentException("scatterRows: row " + row + " asked of " + target.rows());
                }
            }
            if (list != null) {
                scatteredRows = null;
                list.close();
            }
            list = bring(rows, "rows of the cache");
            scattered = rows;
            scatteredRows = list;
        }
        card.kernels()
                .kernel(ROWS_FILE, to.coded() ? "scatter_codes" : "scatter_rows", Map.of())
                .launch(
                        card.stream(),
                        Kernel.Grid.of(rows.length),
                        ROW_THREADS,
                        0,
                        from.address(),
                        list.address(),
                        from.columns(),
                        target instanceof CudaCodeMatrix codes ? codes.head() : 0,
                        to.address(),
                        to.scales());
    }

    @Override
    public void close() {
        forgetPrepared();
        if (scatteredRows != null) {
            scatteredRows.close();
            scatteredRows = null;
        }
    }
}
