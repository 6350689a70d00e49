// Porcupine on histories of registers, for benchmarks/checker_table.py: the time of its check alone, in its own process.
//
//	table LIMIT_S FILE...      a line is: key f arg old out status call return   (f: r, w or c; -1 is the initial value)
//
// Prints one JSON object: the worst result, seconds of all checks, and the most memory that the process had.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type call struct {
	key, arg, old int
	f, status     string
}

var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(call).key
			byKey[key] = append(byKey[key], op)
		}
		parts := make([][]porcupine.Operation, 0, len(byKey))
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() interface{} { return -1 },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		op, now := input.(call), state.(int)
		switch op.f {
		case "r":
			return output.(int) == now, now
		case "w":
			return true, op.arg
		}
		if op.status == "fail" {
			return now != op.old, now
		}
		if now == op.old {
			return true, op.arg
		}
		return op.status == "info", now
	},
}

func read(path string) []porcupine.Operation {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	var history []porcupine.Operation
	for lines := bufio.NewScanner(file); lines.Scan(); {
		part := strings.Fields(lines.Text())
		number := func(at int) int {
			n, err := strconv.Atoi(part[at])
			if err != nil {
				panic(err)
			}
			return n
		}
		input := call{key: number(0), f: part[1], arg: number(2), old: number(3), status: part[5]}
		history = append(history, porcupine.Operation{
			Input: input, Output: number(4), Call: int64(number(6)), Return: int64(number(7)), ClientId: len(history),
		})
	}
	return history
}

func peakMB() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kb, _ := strconv.ParseFloat(strings.Fields(after + " 0")[0], 64)
	return kb / 1024
}

func main() {
	limit, _ := strconv.ParseFloat(os.Args[1], 64)
	worst, seconds := porcupine.Ok, 0.0
	for _, path := range os.Args[2:] {
		history := read(path)
		begin := time.Now()
		found := porcupine.CheckOperationsTimeout(register, history, time.Duration(limit*float64(time.Second)))
		seconds += time.Since(begin).Seconds()
		if found != porcupine.Ok && worst != porcupine.Unknown {
			worst = found
		}
	}
	said, _ := json.Marshal(map[string]interface{}{"result": worst, "seconds": seconds, "mb": peakMB()})
	fmt.Println(string(said))
}
