"""Two tasks add to one number, and one addition is lost under some schedules: they are found, and the shortest is printed."""

import trio

from statemachine.schedules import Exhaustive, explore, watch


class Account:
    balance = 0

    async def add(self, amount: int) -> None:
        balance = self.balance
        await trio.lowlevel.checkpoint()  # whatever may let another task run
        self.balance = balance + amount


async def think_and_add(account: Account, amount: int) -> None:
    await trio.lowlevel.checkpoint()
    await account.add(amount)


async def program() -> None:
    account = Account()
    watch(state=lambda: account.balance)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(account.add, 1)
        nursery.start_soon(think_and_add, account, 2)
    assert account.balance == 3, f"the balance is {account.balance}, not 3"


if __name__ == "__main__":
    print(explore(program, Exhaustive()))
