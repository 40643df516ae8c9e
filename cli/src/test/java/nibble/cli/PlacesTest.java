package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Outputs and inputs on disks, in folders and with rights that hinder. */
@EnabledOnOs(OS.LINUX)
class PlacesTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private Shell shell;

    @BeforeEach
    void layOut() throws IOException {
        shell = new Shell(folder);
    }

    @Test
    void an_output_that_is_a_mount_point_is_written_and_resumed() throws Exception {
        String options = "--calibration " + Shell.ROOT.resolve("LICENSE")
                + " --samples 4 --seq-len 128 --group-size 64 --threads 1 --method awq";
        List<String> whole = new ArrayList<>(List.of(
                "quantize",
                folder.resolve("tiny").toString(),
                folder.resolve("whole").toString()));
        whole.addAll(List.of(options.split(" ")));
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(whole.toArray(String[]::new)))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        Shell.Ended ended = shell.mounting("""
            mkdir "$F/volume" "$F/out"; mount --bind "$F/volume" "$F/out"; state="$F/out/.nibble.unfinished"
            options="%s"
            $N quantize $T "$F/out" $options & p=$!
            until grep -qs "entry..{.layer" $state/journal.jsonl || ! kill -0 $p; do sleep 0.1; done
            kill -TERM $p; code=0; wait $p || code=$?; [ $code = 143 ] || exit 8
            [ -d $state ] && [ ! -e "$F/out/config.json" ] || exit 7
            if $N quantize $T "$F/out" $options; then exit 6; fi
            $N quantize $T "$F/out" $options --resume
            diff -r "$F/whole" "$F/out" && rm -r "$F/whole" "$F/out"/*; ls -A "$F/out"
            mount -t tmpfs -o size=1m none "$F/out"
            if $N quantize $T "$F/out" --method rtn --max-shard-size 300KB; then exit 9; fi
            ls -A "$F/out"
            """.formatted(options));
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(0);
        assertThat(ended.err())
                .contains("layers are safe in " + folder.resolve("out/.nibble.unfinished"))
                .contains("an earlier run was not finished", "resuming after layer")
                .contains("bytes are needed", "free some space");
        assertThat(ended.out()).contains("written to " + folder.resolve("out")).endsWith("there\n");
        ended.assertNoTrace();
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files.map(file -> file.getFileName().toString()).filter(name -> !Shell.OWN.contains(name)))
                    .containsExactlyInAnyOrder("volume", "out");
        }
    }

    @Test
    void an_output_whose_parent_cannot_be_written_is_written_and_a_new_one_there_is_refused() throws Exception {
        Shell.Ended ended = shell.withoutRoot("""
            mkdir -p $F/parent/out; chmod 777 $F/parent/out; chmod 555 $F/parent
            $N quantize $T $F/parent/out --method rtn || exit 9
            $N verify $F/parent/out >/dev/null || exit 8
            find $F/parent -name ".*"
            $N inspect $T --json $F/parent/x.json; [ $? = 2 ] || exit 7
            $N quantize $T $F/parent/new --method rtn; code=$?; ls $F/parent; chmod 755 $F/parent; exit $code
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.out()).endsWith("there\nout\n");
        assertThat(ended.err())
                .contains("x.json: cannot be written: permission denied")
                .contains("making the output folder failed: permission denied; choose a folder you may write to");
        ended.assertNoTrace();
    }

    @Test
    void a_file_that_may_not_be_read_is_named_with_the_right_that_is_missing() throws Exception {
        Shell.Ended ended = shell.withoutRoot("""
            cp -r $T $F/model; chmod 000 $F/model/tokenizer.model
            $N quantize $F/model $F/out --method rtn; [ $? = 3 ] || exit 9
            [ ! -e $F/out ] || exit 8
            $N verify $F/model
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        String fault = "tokenizer.model: cannot be read: permission denied; give yourself the right to read it";
        assertThat(ended.err()).contains(fault);
        assertThat(ended.out()).contains(fault, "1 errors, 1 warnings");
        ended.assertNoTrace();
    }

    @Test
    void a_complete_cache_is_read_although_it_cannot_be_written() throws Exception {
        Shell.Ended ended = shell.withoutRoot("""
            id=$(printf %040d 7); cache=$F/cache/models--me--m; mkdir -p $cache/snapshots/$id $cache/refs $cache/blobs
            cp $T/* $cache/snapshots/$id; printf $id >$cache/refs/main; chmod -R a-w $F/cache
            export HF_HUB_CACHE=$F/cache HF_HUB_OFFLINE=1
            $N inspect me/m && $N download me/m && $N generate me/m --prompt The --max-new-tokens 2
            code=$?; chmod -R u+w $F/cache; exit $code
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        ended.assertNoTrace();
    }

    @Test
    void a_disk_that_fills_behind_a_file_of_figures_leaves_what_was_there() throws Exception {
        Shell.Ended ended = shell.mounting("""
            mkdir "$F/disk"; mount -t tmpfs -o size=16k none "$F/disk"
            echo before >"$F/disk/x.json"; head -c 8192 /dev/zero >"$F/disk/full"
            code=0; $N inspect $T --json "$F/disk/x.json" || code=$?
            ls -A "$F/disk"; cat "$F/disk/x.json"; exit $code
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.err()).contains("x.json: cannot be written: No space left on device");
        assertThat(ended.out()).endsWith("full\nx.json\nbefore\n");
        ended.assertNoTrace();
    }

    @Test
    void a_cache_that_may_hold_no_programs_is_named_with_the_way_out_and_shared_memory_is_not_needed()
            throws Exception {
        Shell.Ended ended = shell.mounting("""
            mkdir "$F/cache"; mount -t tmpfs -o noexec none "$F/cache"; mount -t tmpfs -o size=4k none /dev/shm
            export TMPDIR="$F/cache"
            code=0; NIBBLE_CACHE="$F/cache" $N tokenize $T --prompt The || code=$?; [ $code = 3 ] || exit 9
            NIBBLE_CACHE="$F/other" $N generate $T --prompt The --max-new-tokens 2
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(ended.err())
                .contains("the tokenizer library of this platform cannot be loaded from", "set NIBBLE_CACHE to");
        ended.assertNoTrace();
    }

    @ParameterizedTest
    @CsvSource({"022, drwxr-xr-x, -rw-r--r--", "077, drwx------, -rw-------"})
    void what_is_written_has_the_rights_that_umask_gives(String mask, String folderMode, String fileMode)
            throws Exception {
        Shell.Ended ended = shell.run("umask " + mask + """
            ; $N quantize $T $F/out --method rtn --json $F/x.json >/dev/null \
              && $N convert $F/out $F/g --format gguf --type Q8_0 \
              >/dev/null && ls -ld $F/out $F/g $F/out/* $F/g/* $F/x.json | cut -c1-10 | sort -u
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(ended.out().lines()).containsExactlyInAnyOrder(folderMode, fileMode);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            value = {
                "$F/m ~ $F/m ~ 3 ~ the output folder exists and is not empty",
                "$F/m ~ $F/m/out ~ 0 ~ ''",
                "$F/o/m ~ $F/o ~ 3 ~ the output folder exists and is not empty",
                "$F/m ~ $F/link ~ 0 ~ ''",
                "$F/m ~ $F/dangling ~ 3 ~ exists and is not a folder; choose another name"
            })
    void places_of_model_and_output_that_touch_lose_nothing(String model, String out, int code, String words)
            throws Exception {
        String layOut =
                "cp -r $T $F/m; mkdir $F/o $F/real; cp -r $T $F/o/m; ln -s real $F/link; ln -s nowhere $F/dangling";
        assertThat(shell.run(layOut).exitCode()).isZero();
        String place = out.replace("$F", folder.toString());
        TerminalCapture quantize = new TerminalCapture();
        assertThat(quantize.run("quantize", model.replace("$F", folder.toString()), place, "--method", "rtn"))
                .as(quantize.err())
                .isEqualTo(code);
        Shell.Ended compared = shell.run("diff -r -x out $T $F/m && diff -r $T $F/o/m");
        assertThat(compared.exitCode()).as(compared.out()).isZero();
        if (code == ExitCode.DONE) {
            TerminalCapture verify = new TerminalCapture();
            assertThat(verify.run("verify", place)).as(verify.out()).isEqualTo(ExitCode.DONE);
        }
        assertThat(quantize.err()).contains(words);
        new Shell.Ended(code, quantize.out(), quantize.err()).assertNoTrace();
    }
}
