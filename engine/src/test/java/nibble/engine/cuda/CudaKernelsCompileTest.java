package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import nibble.engine.cuda.driver.KernelCache;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The kernels for each architecture, where nvcc is installed; no card is needed. */
class CudaKernelsCompileTest {
    private static final List<String> ARCHITECTURES = List.of("80", "89", "90a");

    @TempDir
    private Path temp;

    @ParameterizedTest
    @CsvSource({
        "elementwise.cu, ''",
        "experts.cu, ''",
        "log_probabilities.cu, ''",
        "bandwidth.cu, ''",
        "moments.cu, -DSTRIP=2048",
        "quantize.cu, -DGROUP=0",
        "quantize.cu, -DGROUP=128",
        "quantize.cu, -DGROUP=64 -DSYMMETRIC=1",
        "quantize.cu, -DGROUP=128 -DSYMMETRIC=1 -DMOST=255",
        "fit_moment.cu, ''",
        "fit.cu, ''",
        "tune_layer.cu, ''",
        "tune_codes.cu, ''",
        "tune_rows.cu, ''",
        "attention.cu, -DHEAD_DIM=64",
        "attention.cu, -DHEAD_DIM=128",
        "attention.cu, -DHEAD_DIM=256",
        "attention.cu, -DHEAD_DIM=96 -DSLIDING_WINDOW=2047",
        // 50 and 1/16, as the bits of floats.
        "attention.cu, -DHEAD_DIM=256 -DSLIDING_WINDOW=4096 -DSCORE_SCALE_BITS=1031798784 -DSCORE_CAP_BITS=1112014848",
        "paged_attention.cu, -DHEAD_DIM=256 -DQUERIES_PER_KV=2 -DSCORE_CAP_BITS=1112014848",
        "attention.cu, -DHEAD_DIM=64 -DSLIDING_WINDOW=128 -DSINKS=1",
        "paged_attention.cu, -DHEAD_DIM=64 -DQUERIES_PER_KV=8 -DSINKS=1",
        "paged_attention.cu, -DHEAD_DIM=64 -DQUERIES_PER_KV=8 -DSINKS=1 -DCODES=1",
        "paged_attention.cu, -DHEAD_DIM=64 -DQUERIES_PER_KV=2",
        "paged_attention.cu, -DHEAD_DIM=96 -DQUERIES_PER_KV=1 -DSLIDING_WINDOW=2047",
        "paged_attention.cu, -DHEAD_DIM=128 -DQUERIES_PER_KV=8",
        "paged_attention.cu, -DHEAD_DIM=256 -DQUERIES_PER_KV=20",
        "paged_attention.cu, -DHEAD_DIM=64 -DQUERIES_PER_KV=2 -DCODES=1",
        "paged_attention.cu, -DHEAD_DIM=96 -DQUERIES_PER_KV=1 -DCODES=1 -DSLIDING_WINDOW=2047",
        "paged_attention.cu, -DHEAD_DIM=128 -DQUERIES_PER_KV=8 -DCODES=1",
        "paged_attention.cu, -DHEAD_DIM=256 -DQUERIES_PER_KV=2 -DCODES=1 -DSCORE_CAP_BITS=1112014848",
        "cache_rows.cu, ''",
        "best_logits.cu, ''",
        "w4_repack.cu, -DGROUP_SIZE=0",
        "w4_dequantize.cu, -DGROUP_SIZE=64",
        "w4_linear.cu, -DGROUP_SIZE=128 -DROWS=1",
        "w4_batch.cu, -DGROUP_SIZE=128 -DROWS=64",
        "w4_batch.cu, -DGROUP_SIZE=128 -DROWS=64 -DWARP_TILES=1 -DARRANGED=1",
        "w4_batch.cu, -DGROUP_SIZE=32 -DROWS=128 -DARRANGED=1",
        "w4_batch.cu, -DGROUP_SIZE=32 -DROWS=16 -DWARP_TILES=1",
        "w4_batch.cu, -DGROUP_SIZE=0 -DROWS=8",
        "decode_step.cu, -DTYPES=1 -DEMBEDDING=1 -DHEAD=1 -DGROUP_SIZE=128 -DHEAD_DIM=128 -DQUERIES_PER_KV=8",
        "decode_step.cu, -DTYPES=2 -DEMBEDDING=1 -DHEAD=1 -DHEAD_DIM=64 -DQUERIES_PER_KV=2",
        // Q4_K and Q6_K, as Q4_K_M has them; then the other types.
        "decode_step.cu, -DTYPES=20480 -DEMBEDDING=12 -DHEAD=14 -DHEAD_DIM=128 -DQUERIES_PER_KV=1",
        "decode_step.cu, -DTYPES=9448908 -DEMBEDDING=2 -DHEAD=1 -DHEAD_DIM=128 -DQUERIES_PER_KV=4",
        // Mixtures: of codes with norms of heads, of fp16 with a shared expert, of Q4_K and Q6_K.
        "decode_step.cu, -DTYPES=1 -DEMBEDDING=1 -DHEAD=1 -DGROUP_SIZE=128 -DHEAD_DIM=128 -DQUERIES_PER_KV=8"
                + " -DEXPERTS=128 -DCHOSEN=8 -DSUM_OF_ONE=1 -DSHARED=0 -DHEAD_EXTRAS=1",
        "decode_step.cu, -DTYPES=2 -DEMBEDDING=1 -DHEAD=1 -DHEAD_DIM=64 -DQUERIES_PER_KV=1"
                + " -DEXPERTS=60 -DCHOSEN=4 -DSUM_OF_ONE=0 -DSHARED=2 -DHEAD_EXTRAS=2",
        "decode_step.cu, -DTYPES=20480 -DEMBEDDING=12 -DHEAD=14 -DHEAD_DIM=128 -DQUERIES_PER_KV=4"
                + " -DEXPERTS=8 -DCHOSEN=2 -DSUM_OF_ONE=1 -DSHARED=0",
        "expert_linear.cu, -DBLOCK_TYPE=0 -DGROUP_SIZE=128 -DROWS=8",
        "expert_linear.cu, -DBLOCK_TYPE=1 -DROWS=16",
        "expert_linear.cu, -DBLOCK_TYPE=14 -DROWS=32",
        "blocks.cu, -DBLOCK_TYPE=2",
        "blocks.cu, -DBLOCK_TYPE=8",
        "blocks.cu, -DBLOCK_TYPE=10",
        "blocks.cu, -DBLOCK_TYPE=12",
        "blocks.cu, -DBLOCK_TYPE=14",
        "blocks.cu, -DBLOCK_TYPE=23",
        "blocks.cu, -DBLOCK_TYPE=39",
        "block_linear.cu, -DBLOCK_TYPE=11 -DROWS=1",
        "block_linear.cu, -DBLOCK_TYPE=8 -DROWS=1",
        "block_batch.cu, -DBLOCK_TYPE=39 -DROWS=32 -DWARP_TILES=2",
        "block_batch.cu, -DBLOCK_TYPE=2 -DROWS=64 -DWARP_TILES=2",
        "block_batch.cu, -DBLOCK_TYPE=12 -DROWS=16 -DWARP_TILES=1",
        "block_batch.cu, -DBLOCK_TYPE=14 -DROWS=64 -DWARP_TILES=2",
    })
    void compiles_for_every_architecture_without_a_warning(String file, String constants) throws Exception {
        Path nvcc = nvcc();
        for (String name :
                Stream.concat(Stream.of(file), KernelCache.HEADERS.stream()).toList()) {
            Files.writeString(temp.resolve(name), KernelCache.resource(name));
        }
        List<String> command = new ArrayList<>(List.of(nvcc.toString(), "-std=c++17", "-fatbin", "--threads", "2"));
        for (String architecture : ARCHITECTURES) {
            command.add("-gencode=arch=compute_" + architecture + ",code=sm_" + architecture);
        }
        Stream.of(constants.split(" ")).filter(c -> !c.isEmpty()).forEach(command::add);
        command.addAll(List.of(
                "-o",
                temp.resolve("kernels.fatbin").toString(),
                temp.resolve(file).toString()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as("%s:%n%s", command, output).isZero();
        assertThat(output.lines().filter(line -> line.contains("warning"))).isEmpty();
    }

    private static Path nvcc() throws IOException {
        List<Path> places = new ArrayList<>();
        String path = System.getenv("PATH");
        Stream.of((path == null ? "" : path).split(":"))
                .filter(p -> !p.isEmpty())
                .forEach(p -> places.add(Path.of(p)));
        places.add(Path.of("/usr/local/cuda/bin"));
        for (Path place : places) {
            Path nvcc = place.resolve("nvcc");
            if (Files.isExecutable(nvcc)) {
                return nvcc;
            }
        }
        return Assumptions.abort("nvcc is neither on the PATH nor in /usr/local/cuda/bin");
    }
}
