package nibble.engine.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.engine.cuda.CudaBackend;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("gpu")
class KernelCacheTest {
    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    @Test
    void code_that_compiles_ahead_is_what_a_kernel_is_of() {
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            KernelCache kernels = backend.resources().kernels();
            Map<String, Integer> constants = Map.of("HEAD_DIM", 40, "QUERIES_PER_KV", 3);
            List<KernelCache.Code> codes = List.of(
                    new KernelCache.Code("paged_attention.cu", constants), new KernelCache.Code("no.cu", Map.of()));
            kernels.prepare(codes);
            kernels.prepare(codes);

            int[] launch = kernels.integers("paged_attention.cu", "paged_attention_launch", constants);
            assertThat(launch[0]).isEqualTo(128);
        }
    }

    /** NVRTC that compiles while the process ends would take it down. */
    @Test
    void nothing_compiles_any_more_when_a_card_is_closed() {
        long before = compilers();
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            List<KernelCache.Code> codes = new ArrayList<>();
            for (int head = 8; head <= 256; head += 8) {
                codes.add(new KernelCache.Code("paged_attention.cu", Map.of("HEAD_DIM", head, "QUERIES_PER_KV", 7)));
            }
            backend.resources().kernels().prepare(codes);
            assertThat(compilers()).isGreaterThan(before);
        }
        assertThat(compilers()).isEqualTo(before);
    }

    private static long compilers() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("nibble-nvrtc-"))
                .count();
    }
}
